"""Programs nobody here wrote, as clients and as actors: each client script does the same round of
requests against a base URL and exits 0 only if every answer was right."""
