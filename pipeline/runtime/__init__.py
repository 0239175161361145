"""The model's step on a device: pictures and remembered frames in, probabilities and attention out.

The protocol is in ``base``, the choice in ``open_runtime``; GPUs and exported steps have rooms of their own.
"""
