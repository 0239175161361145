"""Every option of the network by a name for it: the tests go through this one table."""

from typing import Any

OPTIONS: dict[str, dict[str, Any]] = {
    "match, own values": {},
    "match, tied values, one past frame": {"tied_values": True, "num_past": 1},
    "plain, tied values, three layers, one head": {"attention": "plain", "num_layers": 3, "num_heads": 1},
    "plain, own values, only layer3, official gates": {
        "attention": "plain",
        "tied_values": False,
        "scales": ("layer3",),
        "cbam_start": "official",
    },
    "unshared, plain, layer3 and layer4": {
        "use_shared_weights": False,
        "attention": "plain",
        "scales": ("layer3", "layer4"),
    },
    "four past frames, two layers": {"num_past": 4, "num_layers": 2},
    "eight past frames, eight heads": {"num_past": 8, "num_heads": 8},
    "only layer2, identity blocks": {"scales": ("layer2",), "identity_blocks": True},
    "all scales, tied values, gradient checkpointing": {
        "scales": ("layer4", "layer2", "layer3"),
        "tied_values": True,
        "gradient_checkpointing": True,
    },
    "depth 50": {"depth": 50},
    "dense motion": {"motion": True},
    "dense motion, three past frames, tied values": {"motion": True, "num_past": 3, "tied_values": True},
    "grid head": {"head": "grid"},
    "grid head, all scales, two layers, unshared": {
        "head": "grid",
        "scales": ("layer2", "layer4", "layer3"),
        "num_layers": 2,
        "use_shared_weights": False,
    },
}
"""What differs from a ResNet-18 with shared weights, two past frames, one layer on layer4, four heads."""
