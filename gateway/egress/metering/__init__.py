"""Metering: what LLM calls used, read on the side from answers that pass unchanged."""
