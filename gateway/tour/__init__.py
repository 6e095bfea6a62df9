"""The guided tour of `rouse up --demo`: a visitor who sees only HTTP and believes nothing."""

from gateway.tour.steps import tour

__all__ = ["tour"]
