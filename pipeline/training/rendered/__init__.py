"""Clips rendered on the device, with known motion.

Needs only torch.
"""
