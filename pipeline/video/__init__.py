"""Sources of frames (webcam, network stream, file, image folder, demo) and their reader.

Reads with PyAV and OpenCV; must not import ``pipeline.wire`` or ``pipeline.model``.
"""
