"""Benchmarks with lower bounds and alternatives, measured in alternation. Not part of the test suite."""
