"""Change an actor's state safely: wake, suspend, host, snapshots. No proxying, no CLI."""
