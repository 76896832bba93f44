"""Metrics of paired recordings, one subject per module; ``summary`` computes all of them."""
