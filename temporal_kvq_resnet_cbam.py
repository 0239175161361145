"""The name under which the guide imports the model."""

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.visualize import visualize_attention

__all__ = ["TemporalKVQResNetCBAM", "visualize_attention"]
