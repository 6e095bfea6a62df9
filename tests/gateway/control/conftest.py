"""The served admin application, for the tests of this room."""

from tests.gateway.control.serving import admin, fleet

__all__ = ["admin", "fleet"]
