"""What happens in the picture: things that move, the camera, and the words for them.

Pure: what the network found goes in, things come out. Only numpy, OpenCV and ``base``; no torch, no sockets.
"""
