"""The composition root: builds the same graph for every role and runs it in the right order."""

from gateway.wiring.roles import run_gateway, run_up, run_worker

__all__ = ["run_gateway", "run_up", "run_worker"]
