"""Evaluation of models on unseen data, and the command that reports it.

May import ``rendered`` and ``recorded``.
"""
