"""The configuration: read from YAML, checked whole, made into plain values that policy reads."""
