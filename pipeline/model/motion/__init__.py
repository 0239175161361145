"""Dense motion: each place of the new frame finds where it was in the past frames.

Coarse matching at stride 8, refinement at stride 8 and 4, a similarity for what stands still, and a mask of
what moves by itself. Torch only; every operator exports to ONNX and OpenVINO.
"""
