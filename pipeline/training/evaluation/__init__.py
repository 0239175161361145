"""Evaluation of models on unseen data, and the command that reports it.

May use ``rendered`` and ``recorded``.
"""
