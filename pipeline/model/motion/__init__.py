"""Dense motion: finds where each position of the new frame was in past frames.

Coarse matching at stride 8, refinement at stride 8 and 4, a similarity transform for the static scene, and
a mask of independently moving objects. Torch only; every operator exports to ONNX and OpenVINO.
"""
