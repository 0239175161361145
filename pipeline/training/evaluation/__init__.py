"""How good a model is on what it was never trained on, and the command that reports it.

May use ``rendered`` and ``recorded``.
"""
