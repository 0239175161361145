"""Temporal baselines on the same backbone, ablations of our network, and a common training harness."""
