"""Runs the model's step on a device: from frames and the cached past to probabilities and attention.

``base`` is the interface, ``engine`` the part that differs between libraries, ``open_runtime`` chooses
among them. GPUs and exported steps have packages of their own.
"""
