"""Every option of the network by a name for it: the tests go through this one table."""

from typing import Any

OPTIONS: dict[str, dict[str, Any]] = {
    "match, own values": {},
    "match, tied values": {"tied_values": True},
    "plain, tied values": {"attention": "plain"},
    "plain, own values": {"attention": "plain", "tied_values": False},
    "unshared, plain, layer3 and layer4": {
        "use_shared_weights": False,
        "attention": "plain",
        "scales": ("layer3", "layer4"),
    },
    "one past frame": {"num_past": 1},
    "four past frames, two layers": {"num_past": 4, "num_layers": 2},
    "eight past frames": {"num_past": 8},
    "only layer2": {"scales": ("layer2",)},
    "only layer3": {"scales": ("layer3",)},
    "all scales, tied values": {"scales": ("layer4", "layer2", "layer3"), "tied_values": True},
    "three layers": {"num_layers": 3},
    "three layers, plain, one head": {"num_layers": 3, "attention": "plain", "num_heads": 1},
    "eight heads": {"num_heads": 8},
    "depth 50": {"depth": 50},
    "grid head": {"head": "grid"},
    "grid head, all scales, two layers, unshared": {
        "head": "grid",
        "scales": ("layer2", "layer4", "layer3"),
        "num_layers": 2,
        "use_shared_weights": False,
    },
    "identity blocks": {"identity_blocks": True},
    "official gates": {"cbam_start": "official"},
    "gradient checkpointing": {"gradient_checkpointing": True},
}
"""What differs from a ResNet-18 with shared weights, two past frames, one layer on layer4, four heads."""
