"""The step on CUDA: captured graphs, fused kernels, past frames in device tables.

The only package that may import Triton.
"""
