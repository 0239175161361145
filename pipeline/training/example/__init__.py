"""A small rendered data set for a first fine-tuning.

Needs only NumPy and OpenCV, plus PyAV to write the files.
"""
