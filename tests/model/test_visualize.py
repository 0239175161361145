from pathlib import Path

import pytest
import torch

from pipeline.model.visualize import visualize_attention
from tests.support import need_module


@pytest.fixture(autouse=True)
def _screenless() -> None:
    need_module("matplotlib", "matplotlib")
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")


def hot_spots(path: Path) -> list[bool]:
    """For the left and the right half of the picture: is there anything bright yellow?"""
    import matplotlib.image as reader

    pixels = reader.imread(path)[:, :, :3]
    middle = int(pixels.shape[1] * 0.45)
    pixels = pixels[:, : int(pixels.shape[1] * 0.85)]  # without the colour scale
    bright = (pixels[..., 0] > 0.95) & (pixels[..., 1] > 0.9) & (pixels[..., 2] < 0.7)
    return [bool(half.sum() > 100) for half in (bright[:, :middle], bright[:, middle:])]


@pytest.mark.parametrize("frame", [0, 1])
def test_each_past_frame_has_a_map_of_its_own(tmp_path: Path, frame: int) -> None:
    weights = torch.zeros(1, 49, 98)
    weights[0, 24, 49 * frame + 30] = 1.0
    visualize_attention(weights, query_idx=24, save_path=tmp_path / "map.png")
    assert hot_spots(tmp_path / "map.png") == [frame == 0, frame == 1]


def test_no_attention_at_all_and_other_numbers_of_frames(tmp_path: Path) -> None:
    visualize_attention(torch.zeros(1, 4, 12), 3, tmp_path / "map.png", num_past=3)
    assert (tmp_path / "map.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("shape", "query", "message"),
    [
        ((1, 49, 98), 49, "positions 0 to 48"),
        ((1, 49, 97), 0, "not 2 square maps"),
        ((0, 49, 98), 0, "not 2 square"),
    ],
)
def test_senseless_input_is_refused(shape: tuple[int, ...], query: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        visualize_attention(torch.zeros(shape), query)
