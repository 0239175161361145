"""Fleets: workers on many machines, started by Ray, with our own placement of streams.

Only ``ray_cluster`` imports Ray.
"""
