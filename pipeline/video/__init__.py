"""Sources of pictures (webcam, network stream, file, image folder, demo tour) and their reader.

PyAV and OpenCV are used here to read; nothing of the wire or the model may come in.
"""
