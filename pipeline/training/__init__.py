"""Makes checkpoints: the training run is here, on top of its clips (rendered, recorded) and evaluation.

May use ``model``, ``video`` and torch; never ``runtime``, ``wire`` or ``view``.
"""
