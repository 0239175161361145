"""A small rendered data set for a first fine-tuning.

NumPy and OpenCV only.
"""
