"""A small rendered data set to try fine-tuning with.

NumPy and OpenCV only.
"""
