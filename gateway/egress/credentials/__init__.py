"""Credentials: where their secrets come from, and how they get into a request, and nowhere else."""
