"""Sources of pictures (webcam, network stream, file, image folder, demo tour) and their reader."""
