"""What happens in the image: moving objects, camera motion, events and their wording.

Works on the network's output and on images, with NumPy, OpenCV, Shapely and ``base``; no torch, no sockets.
"""
