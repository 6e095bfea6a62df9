"""A counter in memory, a counter on disk, and the few answers that show what a proxy did."""
