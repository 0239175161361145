"""What a picture must look like before the model sees it."""

from dataclasses import dataclass

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Stretched to a square, red-green-blue, scaled to 0 ... 1, then normalised by channel.

    Attributes:
        size: Rows and columns in pixels.
        mean: Subtracted, by channel.
        std: Divided by, by channel.
    """

    size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"image_size {self.size}: the backbone needs at least 32 px")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(value > 0 for value in self.std):
            raise ValueError("preprocessing needs three means and three positive deviations")

    @property
    def factor(self) -> tuple[float, ...]:
        """By channel: a value of 0 ... 255 is normalised by ``value * factor + offset``."""
        return tuple(1 / (255 * std) for std in self.std)

    @property
    def offset(self) -> tuple[float, ...]:
        """By channel, see ``factor``."""
        return tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))
