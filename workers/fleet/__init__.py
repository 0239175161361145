"""Fleets: workers on many machines, started by Ray; the placement of streams is our own.

Only ``ray_cluster`` imports Ray.
"""
