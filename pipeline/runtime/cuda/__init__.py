"""Torch on a CUDA GPU: captured graphs, fused kernels, the past in tables on the device.

Nothing else may need Triton.
"""
