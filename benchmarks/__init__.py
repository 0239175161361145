"""Measurements: each against its floor and a peer, in one run, alternating. Never part of the tests."""
