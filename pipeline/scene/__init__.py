"""What happens in the picture: things that move, the camera, the words for them, and events.

Pure: what the network found goes in, things come out. Only numpy, OpenCV, shapely and ``base``; no torch,
no sockets.
"""
