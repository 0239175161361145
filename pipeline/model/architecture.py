"""Everything that shapes the weights of the network: what a checkpoint needs to build it again."""

from dataclasses import dataclass
from typing import Literal

from pipeline.model.attention import AttentionKind
from pipeline.model.cbam import CBAMStart

HeadKind = Literal["mean", "grid"]
SCALES = ("layer2", "layer3", "layer4")


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """The arguments of ``TemporalKVQResNetCBAM`` that shape its weights; see there.

    Raises:
        ValueError: An argument that does not make sense.
    """

    depth: int
    num_classes: int
    use_shared_weights: bool
    d_model: int
    num_heads: int
    num_layers: int
    num_past: int
    attention: AttentionKind
    tied_values: bool
    scales: tuple[str, ...]
    image_size: int
    cbam_start: CBAMStart
    head: HeadKind = "mean"

    def __post_init__(self) -> None:
        for name in ("num_classes", "d_model", "num_heads", "num_layers", "num_past"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: at least 1")
        if self.d_model % self.num_heads:
            raise ValueError(f"d_model {self.d_model} can't be divided among num_heads {self.num_heads}")
        if self.attention not in ("match", "plain"):
            raise ValueError(f"attention {self.attention!r}: choose match or plain")
        if self.cbam_start not in ("identity", "official"):
            raise ValueError(f"cbam_start {self.cbam_start!r}: choose identity or official")
        if self.head not in ("mean", "grid"):
            raise ValueError(f"head {self.head!r}: choose mean or grid")
        if not self.scales or not {*self.scales} <= {*SCALES} or len({*self.scales}) < len(self.scales):
            raise ValueError(f"scales {list(self.scales)}: choose some of {', '.join(SCALES)}, each once")

    def grid(self, stage: str, size: tuple[int, int] | None = None) -> tuple[int, int]:
        """Rows and columns of a stage's feature map for frames of ``size``, or of the model's own size."""
        height, width = size or (self.image_size, self.image_size)
        return _cells(height, stage), _cells(width, stage)


def _cells(pixels: int, stage: str) -> int:
    """Each halving rounds up."""
    for _ in range(int(stage.removeprefix("layer")) + 1):
        pixels = (pixels + 1) // 2
    return pixels
