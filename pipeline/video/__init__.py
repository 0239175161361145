"""Sources of frames (webcam, network stream, file, image folder, demo) and their reader.

Reads with PyAV and OpenCV; must not import the wire or the model.
"""
