"""Benchmarks, each beside a lower bound and an alternative, measured in turns. Never part of the tests."""
