"""The world of a worker's tests, for what stands in front of workers."""

from tests.lifecycle.conftest import world

__all__ = ["world"]
