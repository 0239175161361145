"""Runs the model's step on a device: frames and cached past in, probabilities and attention out.

``base`` is the interface, ``engine`` the part that differs between libraries, ``open_runtime`` chooses
among them. GPUs and exported steps have packages of their own.
"""
