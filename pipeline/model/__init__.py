"""The network: ResNet with CBAM, and attention of the newest frame over the frames before it.

Depends only on torch, torchvision and safetensors. Letters in shapes:

=======  =============================================================================================
``B``    batch: clips in training, streams in a live pipeline
``T``    past frames that one prediction uses; slots are ordered oldest first (t-T ... t-1)
``C``    channels of the backbone's last stage: 2048 for depth 50 and 101, 512 for 18 and 34
``S``    positions of the new frame's feature map, ``rows * columns``: 49 for 224 px
``S_k``  positions of one past frame, over all scales; equals ``S`` with the one scale ``layer4``
``D``    ``d_model``, the width of keys, values and queries
``H``    attention heads
``L``    attention layers
``V``    variants of a cached frame: 1 with shared weights, ``T`` with one backbone per slot
``N``    frames in a chunk
=======  =============================================================================================
"""
