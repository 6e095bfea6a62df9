"""Keep what an actor had: the format, the stores, and the vault that writes and reads snapshots."""
