"""Dense motion: finds where each place of the new frame was in past frames.

Coarse matching at stride 8, refinement at stride 8 and 4, a similarity for what stands still, and a mask of
what moves by itself. Torch only; every operator exports to ONNX and OpenVINO.
"""
