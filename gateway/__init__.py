"""The doors to the outside: edge relay, control API, CLI, and the wiring that builds a process."""
