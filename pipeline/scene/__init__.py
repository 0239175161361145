"""What happens in the image: moving objects, camera motion, events and their wording.

Pure functions of the network's output: only numpy, OpenCV, shapely and ``base``; no torch, no sockets.
"""
