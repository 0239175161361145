"""Clips that are rendered on the device, with known motion.

Torch only.
"""
