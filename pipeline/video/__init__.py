"""Sources of frames (webcam, network stream, file, image folder, demo) and their reader.

PyAV and OpenCV are used here to read; nothing of the wire or the model may come in.
"""
