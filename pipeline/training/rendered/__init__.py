"""Clips rendered on the device, with known motion.

Torch only.
"""
