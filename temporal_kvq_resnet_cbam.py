"""Re-exports the model under the module name of the reference implementation."""

from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.model.visualize import visualize_attention

__all__ = ["TemporalKVQResNetCBAM", "visualize_attention"]
