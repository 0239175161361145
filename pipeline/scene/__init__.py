"""What happens in the image: moving objects, camera motion, events and their wording.

Pure: what the network found goes in, things come out. Only numpy, OpenCV, shapely and ``base``; no torch,
no sockets.
"""
