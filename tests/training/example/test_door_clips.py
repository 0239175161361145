from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.base.frame import Image
from pipeline.training.example.door_clips import HEIGHT_PX, LABELS, WIDTH_PX, main, render_clip, write_clips
from pipeline.training.example.door_scene import new_scene
from pipeline.training.recorded.open_clips import open_recorded


def clip(label: str, seed: int) -> list[Image]:
    scene = new_scene(np.random.default_rng(seed), 2 * WIDTH_PX, 2 * HEIGHT_PX)
    return list(render_clip(label, scene, np.random.default_rng(seed), 15))


def difference(first: Image, second: Image) -> float:
    return float(np.abs(first.astype(np.float32) - second.astype(np.float32)).mean())


@pytest.mark.parametrize("seed", range(4))
def test_opening_ends_where_closing_starts(seed: int) -> None:
    opening, closing = clip("opening", seed), clip("closing", seed)
    assert opening[0].shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert difference(opening[0], closing[-1]) < 0.85 * difference(opening[0], closing[0])
    assert difference(opening[-1], closing[0]) < 0.85 * difference(opening[-1], closing[-1])


def test_doors_hide_the_room_when_shut_and_show_it_when_open() -> None:
    for seed in range(8):
        scene = new_scene(np.random.default_rng(seed), 640, 480)
        left, top = scene.corner_px
        height, width = scene.inside.shape[:2]
        seen = [
            difference(scene.draw(part)[top : top + height, left : left + width], scene.inside)
            for part in (0, 0.5, 1)
        ]
        assert seen[0] > seen[1] > seen[2]
        assert seen[2] < 0.05 * seen[0]


def test_the_seed_fixes_a_clip_and_no_two_are_alike() -> None:
    assert np.array_equal(clip("opening", 1), clip("opening", 1))
    assert difference(clip("opening", 1)[0], clip("opening", 2)[0]) > 10


def test_clips_are_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "doors"), "--clips", "2", "--seed", "3"]) == 0
    assert "2 clips each of closing and opening" in capsys.readouterr().out
    printed: list[str] = []
    train, validation, _ = open_recorded(
        tmp_path / "doors",
        num_past=2,
        size_px=64,
        spacing_ms=100,
        validation_share=0.9,
        seed=0,
        device=torch.device("cpu"),
        labels=LABELS,
        augment=True,
        notify=printed.append,
    )
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.mp4"))
    assert names == [
        f"doors/{place}.mp4"
        for place in ("train/closing/001", "train/opening/001", "val/closing/000", "val/opening/000")
    ]
    assert len(train) > 6
    assert len(validation) > 6
    assert not any("skipped" in line for line in printed)


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").touch()
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"door_clips: {tmp_path} is not an empty folder: choose another one\n"
    with pytest.raises(ValueError, match="--clips must be at least 2"):
        write_clips(tmp_path / "new", 1)
