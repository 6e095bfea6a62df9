"""Ask a worker in another process: the records of `messages` in frames on one kept connection."""
