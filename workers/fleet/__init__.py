"""Fleets: workers on many machines, started by Ray, with our own placement of streams.

Only ``ray_agents`` imports Ray.
"""
