"""Benchmarks of a fleet: placement in virtual time, and failures on a real cluster."""
