"""A fleet: many workers on many machines, placed and restarted by Ray, streams placed by us.

Only ``ray_cluster`` imports Ray.
"""
