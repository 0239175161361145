"""The step on CUDA: captured graphs, fused kernels, past frames in device tables.

Nothing else may need Triton.
"""
