"""Batches of recorded windows."""

from pathlib import Path

import numpy as np
import torch

from pipeline.model.preprocessing import Preprocessing
from pipeline.runtime.pixels import Preprocessor
from pipeline.training.samples import normalised
from tests.model.small import small
from tests.training.recorded.films import CPU, SIZE, folder, grey, opened, write


def test_batches_depend_on_seed_and_step_alone(tmp_path: Path) -> None:
    source = opened(folder(tmp_path), augment=True)[0]
    batches = [source.clips(5) for _ in range(3)]
    source.seek(1)
    again = source.clips(5)
    assert torch.equal(again.frames, batches[1].frames)
    assert torch.equal(again.labels, batches[1].labels)
    assert not torch.equal(batches[0].frames, batches[1].frames)
    source.seed += 1
    source.seek(1)
    assert not torch.equal(source.clips(5).frames, again.frames)


def test_uneven_classes_are_drawn_evenly_and_reported(tmp_path: Path) -> None:
    printed: list[str] = []
    folder(tmp_path, clips=2)
    for number in range(6):
        write(tmp_path / "out" / f"more{number}.mkv", grey(28))
    source = opened(tmp_path, printed)[0]
    labels = torch.cat([source.clips(7).labels for _ in range(40)])
    assert 130 <= int(labels.sum()) <= 150
    assert all(source.clips(6).labels.sum() == 3 for _ in range(5))
    assert any(line.startswith("unbalanced: 8 clips of out, 2 of in") for line in printed)


def test_validation_is_never_varied(tmp_path: Path) -> None:
    validation = opened(folder(tmp_path), augment=True)[1]
    frames = validation.clips(4).frames
    assert torch.equal(frames, frames[..., :1, :1].expand_as(frames))


def test_a_few_windows_of_each_clip(tmp_path: Path) -> None:
    validation = opened(folder(tmp_path, frames=12))[1]
    few = torch.cat([clips.labels for clips in validation.evaluate_batches(4, per_clip=3)])
    assert few.tolist() == [0, 0, 0, 1, 1, 1]


def test_frames_beyond_the_memory_limit_are_the_same(tmp_path: Path) -> None:
    printed: list[str] = []
    folder(tmp_path)
    near, far = opened(tmp_path)[0], opened(tmp_path, printed, memory_mb=0)[0]
    assert torch.equal(near.clips(6).frames, far.clips(6).frames)
    assert any("are in a temporary file" in line for line in printed)


def test_frames_are_what_the_runtime_makes_of_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(3)]
    for label in ("a", "b"):
        for number in range(2):
            write(tmp_path / label / f"{number}.mkv", images)
    clips = next(iter(opened(tmp_path)[1].evaluate_batches(1)))
    own = Preprocessing(SIZE, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    model = small(image_size=SIZE)
    model.preprocessing = own
    expected = Preprocessor(own, CPU, torch.float32)(images)
    torch.testing.assert_close(normalised(clips.frames[0], model), expected, atol=1e-5, rtol=1e-5)
