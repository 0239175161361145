"""Runs the model's step on a device: frames and cached past in, probabilities and attention out.

``base`` is what others use, ``engine`` what differs between libraries, ``open_runtime`` chooses among them.
GPUs and exported steps have rooms of their own.
"""
