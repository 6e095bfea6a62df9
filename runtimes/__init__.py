"""Run one sandbox on this machine. A driver knows no placement and no other driver."""
