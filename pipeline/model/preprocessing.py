"""The model's input format: size, colour order and normalisation."""

from dataclasses import dataclass

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MULTIPLE_PX = 32
"""With the aspect ratio kept, both sides are multiples of this, so that the grids of all stages align."""
Size = tuple[int, int]
"""Rows and columns of an image in pixels."""
_USUAL: Size = (480, 640)  # typical of webcams


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """RGB, resized to a square or with the aspect ratio kept, scaled to 0 ... 1, then normalised by channel.

    Attributes:
        size: Rows and columns in pixels; with ``keep_aspect``, the longer side.
        mean: Mean to subtract, by channel.
        std: Standard deviation to divide by, by channel.
        keep_aspect: Keep the aspect ratio, as far as multiples of ``MULTIPLE_PX`` allow; otherwise images
            are stretched to a square.

    Raises:
        ValueError: The size or the normalisation is invalid.
    """

    size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    keep_aspect: bool = False

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"image_size {self.size}: the backbone needs at least 32 px")
        if self.keep_aspect and self.size % MULTIPLE_PX:
            raise ValueError(f"the longer side must be a multiple of {MULTIPLE_PX} px, not {self.size}")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(value > 0 for value in self.std):
            raise ValueError("preprocessing needs three means and three positive standard deviations")

    @property
    def factor(self) -> tuple[float, ...]:
        """By channel: values from 0 to 255 are normalised by ``value * factor + offset``."""
        return tuple(1 / (255 * std) for std in self.std)

    @property
    def offset(self) -> tuple[float, ...]:
        """By channel, see ``factor``."""
        return tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))

    @property
    def usual_size(self) -> Size:
        """Input size for frames of a typical webcam."""
        return self.picture_size(*_USUAL)

    def picture_size(self, height: int, width: int) -> Size:
        """Input size for an image of this height and width."""
        return aspect_kept(height, width, self.size) if self.keep_aspect else (self.size, self.size)


def aspect_kept(height: int, width: int, longer_px: int) -> Size:
    """Rows and columns with the longer side at ``longer_px``, both multiples of ``MULTIPLE_PX``."""
    scale = longer_px / max(height, width)
    rows, columns = (max(int(side * scale / MULTIPLE_PX + 0.5), 1) * MULTIPLE_PX for side in (height, width))
    return rows, columns
