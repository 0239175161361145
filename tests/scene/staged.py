"""A camera over a scene, with sensor noise, and what may happen to its lens and its light."""

from collections.abc import Callable

import cv2
import numpy as np

from pipeline.base.frame import Image
from pipeline.scene.health import Health, PictureHealth

FPS = 10
MS = 1_000_000
ROWS, COLUMNS = 120, 160


def scene(seed: int = 1, rows: int = ROWS, columns: int = COLUMNS) -> Image:
    """Rectangles and discs with sharp edges on a ground that is not flat."""
    rng = np.random.default_rng(seed)
    across = np.linspace(60, 130, columns, dtype=np.float32)
    image = np.repeat(np.repeat(across[None, :, None], rows, 0), 3, 2).astype(np.uint8)
    for number in range(60):
        colour = tuple(int(c) for c in rng.integers(20, 230, 3))
        x, y = int(rng.integers(0, columns)), int(rng.integers(0, rows))
        size = int(rng.integers(columns // 20, columns // 6))
        if number % 2:
            cv2.rectangle(image, (x, y), (x + size, y + size // 2), colour, -1)
        else:
            cv2.circle(image, (x, y), size // 2, colour, -1)
    return image


def noisy(image: Image, seed: int, sigma: float = 2.0) -> Image:
    """As a sensor sees it: no two pictures are alike."""
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def covered(image: Image) -> Image:
    """Something dark and out of focus right before the lens."""
    shade = np.random.default_rng(5).normal(0, 1, image.shape[:2]).astype(np.float32)
    shade = cv2.GaussianBlur(shade, (0, 0), image.shape[1] / 8)
    lens = 45 + 12 * shade / shade.std()
    return np.repeat(np.clip(lens, 0, 255).astype(np.uint8)[..., None], 3, 2)


def dark(image: Image) -> Image:
    """No light: a thirtieth of it."""
    return (image // 30).astype(np.uint8)


def over_exposed(image: Image) -> Image:
    """Nearly all of it white."""
    return np.clip(image.astype(np.float32) * 6 + 60, 0, 255).astype(np.uint8)


def blurred(image: Image) -> Image:
    """Out of focus by 1.5 % of the width."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.015 * image.shape[1]), np.uint8)


class Camera:
    """Films a scene and has its pictures judged."""

    def __init__(self, image: Image, *, judge_frozen: bool = True, sigma: float = 2.0) -> None:
        self._health = PictureHealth(judge_frozen=judge_frozen)
        self._image, self._sigma, self.is_smeared = image, sigma, False
        self.frames = 0

    def film(self, seconds: float, change: Callable[[Image], Image] = lambda image: image) -> list[Health]:
        """Pictures with a change made to each."""
        return self.show(seconds, lambda seed: noisy(change(self._image), seed, self._sigma))

    def show(self, seconds: float, picture: Callable[[int], Image]) -> list[Health]:
        """The pictures that a function makes from the number of the frame."""
        judged = []
        for _ in range(round(seconds * FPS)):
            at_ns = self.frames * 1000 // FPS * MS
            judged.append(self._health.look(picture(self.frames), at_ns, smeared=self.is_smeared))
            self.frames += 1
        return judged


def states(judged: list[Health]) -> list[str]:
    """In order, each once in a row."""
    return [one.state for n, one in enumerate(judged) if n == 0 or judged[n - 1].state != one.state]
