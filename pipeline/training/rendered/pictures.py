"""The bank of still images that camera motions are rendered from."""

import math
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.rendered import draw

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def seeded(device: torch.device, *numbers: int) -> torch.Generator:
    """A generator for one purpose, determined only by the numbers."""
    seed = 0
    for number in numbers:
        seed = (seed * 6364136223846793005 + number + 1442695040888963407) % 2**63
    return torch.Generator(device).manual_seed(seed)


def load_photos(folder: Path, size_px: int) -> tuple[Tensor, Tensor]:
    """Reads all images of a folder, each resized to a square.

    Returns:
        Images ``(P, 3, size_px, size_px)`` uint8 RGB and their aspect ratios ``(P,)``, width / height.

    Raises:
        ValueError: The folder has no readable image.
    """
    if not folder.is_dir():
        raise ValueError(f"no such folder of images: {folder}")
    squares, aspects = [], []
    for path in sorted(folder.rglob("*")):
        picture = cv2.imread(str(path)) if path.suffix.lower() in PICTURE_SUFFIXES else None
        if picture is None:
            continue
        aspects.append(picture.shape[1] / picture.shape[0])
        square = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
        squares.append(cv2.cvtColor(square, cv2.COLOR_BGR2RGB))
    if not squares:
        raise ValueError(f"no readable image ({', '.join(sorted(PICTURE_SUFFIXES))}) in {folder}")
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).contiguous(), torch.tensor(aspects)


class PictureBank:
    """Images on the device, redrawn one block at a time during training.

    The content depends only on the seed and the number of redraws, so a resumed run has the same images.

    Attributes:
        pictures: ``(count, 3, size_px, size_px)`` uint8 RGB.
        photo_count: Number of photos in the folder, 0 without a folder.
    """

    def __init__(
        self,
        device: torch.device,
        size_px: int,
        count: int,
        seed: int,
        photos: Path | None = None,
        photo_share: float = 0.35,
        block: int = 32,
    ) -> None:
        """Draws the whole bank.

        Args:
            device: Device of the images.
            size_px: Side of each square image.
            count: Number of images; above ``block``, rounded up to a multiple of it.
            seed: Random seed.
            photos: Folder of photos; None draws only procedural images.
            photo_share: Share of the bank that is cropped from photos, if any.
            block: Number of images redrawn together.
        """
        self.size_px, self.seed, self.block = size_px, seed, min(block, count)
        self.blocks = math.ceil(count / self.block)
        self.redraws = 0
        self._photos: tuple[Tensor, Tensor] | None = None
        if photos is not None:
            squares, aspects = load_photos(photos, round(1.7 * size_px))
            self._photos = squares.to(device), aspects.to(device)
        self.photo_count = 0 if self._photos is None else len(self._photos[0])
        self._crop_count = round(self.block * photo_share) if self.photo_count else 0
        self.pictures = torch.empty(
            (self.blocks * self.block, 3, size_px, size_px), dtype=torch.uint8, device=device
        )
        self.seek(0)

    def redraw(self) -> None:
        """Replaces the oldest block with new images."""
        self._draw_block(self.redraws)
        self.redraws += 1

    def seek(self, redraws: int) -> None:
        """Sets the bank to its content after this many redraws."""
        self.redraws = redraws
        for number in range(redraws - self.blocks, redraws):
            self._draw_block(number)

    def _draw_block(self, number: int) -> None:
        generator = seeded(self.pictures.device, self.seed, 1, number + self.blocks)
        drawn_count = self.block - self._crop_count
        parts = [draw.mixed(generator, drawn_count, self.size_px)] if drawn_count else []
        if self._crop_count:
            parts.append(self._crops(generator, self._crop_count))
        start = number % self.blocks * self.block
        self.pictures[start : start + self.block] = (torch.cat(parts) * 255 + 0.5).to(torch.uint8)

    def _crops(self, generator: torch.Generator, n: int, candidates: int = 3) -> Tensor:
        """Random crops of photos; of several candidates the most detailed (blank walls show no motion)."""
        assert self._photos is not None
        squares, aspects = self._photos
        which = torch.randint(len(squares), (n,), generator=generator, device=squares.device)
        aspect = aspects[which]
        best = torch.zeros((n, 3, self.size_px, self.size_px), device=squares.device)
        best_detail = torch.full((n, 1, 1, 1), -math.inf, device=squares.device)
        for _ in range(candidates):
            height = draw.uniform(generator, (n,), 0.55, 1.0) * aspect.clamp_max(1)
            width = height / aspect
            theta = torch.zeros((n, 2, 3), device=squares.device)
            theta[:, 0, 0], theta[:, 1, 1] = width, height
            theta[:, 0, 2] = draw.uniform(generator, (n,), -1, 1) * (1 - width)
            theta[:, 1, 2] = draw.uniform(generator, (n,), -1, 1) * (1 - height)
            # Sampled at twice the size and averaged, to avoid aliasing.
            grid = F.affine_grid(theta, [n, 3, 2 * self.size_px, 2 * self.size_px], align_corners=False)
            cut = F.grid_sample(
                squares[which].float() / 255, grid, padding_mode="border", align_corners=False
            )
            crop = F.avg_pool2d(cut, 2)
            energy = (crop - F.avg_pool2d(crop, 9, 1, 4)).square().mean(dim=1, keepdim=True)
            detail = (F.adaptive_avg_pool2d(energy, 4) + 1e-6).log().mean(dim=(1, 2, 3), keepdim=True)
            best = torch.where(detail > best_detail, crop, best)
            best_detail = torch.maximum(best_detail, detail)
        return best
