from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.training.rendered import draw
from pipeline.training.rendered.pictures import PictureBank, load_photos, seeded

CPU = torch.device("cpu")


def photo(path: Path, bgr: tuple[int, int, int]) -> None:
    cv2.imwrite(str(path), np.full((40, 80, 3), bgr, np.uint8))


@pytest.mark.parametrize(
    "kind", [draw.fractal_noise, draw.dead_leaves, draw.stripes, draw.clutter, draw.plain]
)
def test_kinds_fill_the_picture_and_vary(kind) -> None:  # type: ignore[no-untyped-def]
    drawn = kind(seeded(CPU, 1), 4, 96)
    assert drawn.shape == (4, 3, 96, 96)
    assert drawn.amin() >= 0
    assert drawn.amax() <= 1
    assert drawn.std(dim=(1, 2, 3)).amin() > 0.02
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn, kind(seeded(CPU, 1), 4, 96))


def test_a_redraw_replaces_the_oldest_block_only() -> None:
    bank = PictureBank(CPU, 48, 64, seed=1)
    before = bank.pictures.clone()
    bank.redraw()
    assert not torch.equal(bank.pictures[:32], before[:32])
    assert torch.equal(bank.pictures[32:], before[32:])


def test_seek_finds_the_same_pictures() -> None:
    bank, other = PictureBank(CPU, 48, 64, seed=1), PictureBank(CPU, 48, 64, seed=1)
    for _ in range(3):
        bank.redraw()
    other.seek(3)
    assert torch.equal(bank.pictures, other.pictures)


def test_photos_are_rgb_and_take_their_share(tmp_path: Path) -> None:
    photo(tmp_path / "a.png", (0, 0, 255))
    squares, aspects = load_photos(tmp_path, 16)
    assert squares[0, :, 0, 0].tolist() == [255, 0, 0]
    assert aspects.tolist() == [2.0]
    bank = PictureBank(CPU, 32, 32, seed=1, photos=tmp_path, photo_share=0.5)
    red = (bank.pictures == torch.tensor([255, 0, 0]).view(3, 1, 1)).flatten(1).all(dim=1)
    assert int(red.sum()) == 16


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        load_photos(tmp_path / "none", 16)
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="no readable image"):
        load_photos(tmp_path, 16)
