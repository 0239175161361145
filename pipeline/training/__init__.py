"""Training: runs, clips and evaluation.

May use ``model``, ``video`` and torch; never ``runtime``, ``wire`` or ``view``.
"""
