"""Tests of the load test: its report is pure, the rest runs against the product's surface."""
