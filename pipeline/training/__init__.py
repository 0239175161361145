"""Training: runs, clips and evaluation.

May import ``model``, ``video`` and torch, but not ``runtime``, ``wire`` or ``view``.
"""
