from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from pipeline.base.frame import Image
from pipeline.model.preprocessing import Preprocessing
from pipeline.runtime.pixels import Preprocessor
from pipeline.training.recorded.recorded_clips import RecordedClips, open_recorded

SIZE = 32
CPU = torch.device("cpu")
LEVEL = 8  # grey levels between two neighbouring frames


def grey(frames: int, first: int = 20) -> Iterable[Image]:
    """Frames that tell their number by their brightness."""
    for number in range(frames):
        yield np.full((48, 64, 3), first + LEVEL * number, np.uint8)


def write(path: Path, images: Iterable[Image], fps: int = 25) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def folder(root: Path, clips: int = 4, frames: int = 12) -> Path:
    for label in ("in", "out"):
        for number in range(clips):
            write(root / label / f"{number}.mkv", grey(frames))
    return root


def opened(
    path: Path, said: list[str] | None = None, labels: tuple[str, ...] | None = None, **options: object
) -> tuple[RecordedClips, RecordedClips]:
    arguments: dict[str, object] = {
        "num_past": 2,
        "size_px": SIZE,
        "spacing_ms": 0.0,
        "validation_share": 0.25,
        "seed": 0,
        "device": CPU,
        "augment": False,
    }
    say = print if said is None else said.append
    return open_recorded(path, labels=labels, say=say, **(arguments | options))  # type: ignore[arg-type]


def numbers(source: RecordedClips) -> list[list[int]]:
    """The frames of all windows in order, by number."""
    std, mean = torch.tensor([0.229, 0.224, 0.225]), torch.tensor([0.485, 0.456, 0.406])
    windows = []
    for clips in source.evaluate_batches(5):
        levels = (clips.frames.mean(dim=(-1, -2)) * std + mean).mean(dim=-1) * 255
        windows += ((levels - 20) / LEVEL).round().int().tolist()
    return windows


def test_windows_stay_in_their_clip_and_cover_it(tmp_path: Path) -> None:
    train, validation = opened(folder(tmp_path, frames=6))
    of_a_clip = [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert numbers(train) == 6 * of_a_clip
    assert numbers(validation) == 2 * of_a_clip
    assert (len(train), len(validation)) == (24, 8)
    assert train.labels == ("in", "out")
    labels = torch.cat([clips.labels for clips in validation.evaluate_batches(3)])
    assert labels.tolist() == [0] * 4 + [1] * 4


def test_windows_are_picked_by_time_whatever_the_rate(tmp_path: Path) -> None:
    said: list[str] = []
    folder(tmp_path, clips=2, frames=12)  # 40 ms apart
    write(tmp_path / "in" / "fast.mkv", grey(24, 20), fps=50)
    write(tmp_path / "in" / "slow.mkv", grey(5), fps=5)
    (tmp_path / "clips.csv").write_text(
        "path,label,split\nin/0.mkv,in,train\nout/0.mkv,out,train\nin/fast.mkv,in,val\nin/slow.mkv,in,val\n"
        "out/1.mkv,out,val\n"
    )
    train, validation = opened(tmp_path / "clips.csv", said, spacing_ms=80)
    assert numbers(train)[-8:] == [[n - 4, n - 2, n] for n in range(4, 12)]
    at_50 = [[0, 2, 6], [0, 3, 7], *([n - 8, n - 4, n] for n in range(8, 24))]
    picked = numbers(validation)
    assert [window for window in at_50 if window not in picked] == []
    assert picked[len(at_50) :][:3] == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert any("1 clips have fewer frames than one each 80 ms" in line for line in said)


def test_frames_are_what_the_runtime_makes_of_them(tmp_path: Path) -> None:
    dice = np.random.default_rng(3)
    images = [dice.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(3)]
    for label in ("a", "b"):
        for number in range(2):
            write(tmp_path / label / f"{number}.mkv", images)
    clips = next(opened(tmp_path)[1].evaluate_batches(1))
    expected = Preprocessor(Preprocessing(SIZE), CPU, torch.float32)(images)
    torch.testing.assert_close(clips.frames[0], expected, atol=1e-5, rtol=1e-5)


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


def test_uneven_classes_are_drawn_evenly_and_told(tmp_path: Path) -> None:
    said: list[str] = []
    folder(tmp_path, clips=2)
    for number in range(6):
        write(tmp_path / "out" / f"more{number}.mkv", grey(28))
    source = opened(tmp_path, said)[0]
    labels = torch.cat([source.clips(7).labels for _ in range(40)])
    assert 130 <= int(labels.sum()) <= 150
    assert all(source.clips(6).labels.sum() == 3 for _ in range(5))
    assert any(line.startswith("uneven: 8 clips of out, 2 of in") for line in said)


def test_validation_is_never_varied(tmp_path: Path) -> None:
    validation = opened(folder(tmp_path), augment=True)[1]
    frames = validation.clips(4).frames
    assert torch.equal(frames, frames[..., :1, :1].expand_as(frames))


def test_a_few_windows_of_each_clip(tmp_path: Path) -> None:
    validation = opened(folder(tmp_path, frames=12))[1]
    few = torch.cat([clips.labels for clips in validation.evaluate_batches(4, per_clip=3)])
    assert few.tolist() == [0, 0, 0, 1, 1, 1]


def test_frames_beyond_the_memory_limit_are_the_same(tmp_path: Path) -> None:
    said: list[str] = []
    folder(tmp_path)
    near, far = opened(tmp_path)[0], opened(tmp_path, said, memory_mb=0)[0]
    assert torch.equal(near.clips(6).frames, far.clips(6).frames)
    assert any("lie in a temporary file" in line for line in said)


def test_folders_of_images_are_clips(tmp_path: Path) -> None:
    for label in ("in", "out"):
        for clip in range(2):
            place = tmp_path / label / f"clip{clip}"
            place.mkdir(parents=True)
            for number, image in enumerate(grey(12)):
                cv2.imwrite(str(place / f"{number}.png"), image)
    assert numbers(opened(tmp_path)[1])[:3] == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_parts_of_a_file_share_its_frames(tmp_path: Path) -> None:
    said: list[str] = []
    write(tmp_path / "long.mkv", grey(26), fps=10)
    rows = ["long.mkv,in,0,0.6", "long.mkv,in,1.2,1.8", "long.mkv,out,0.6,1.2", "long.mkv,out,1.5,"]
    (tmp_path / "clips.csv").write_text("path,label,start_s,end_s\n" + "\n".join(rows))
    train, validation = opened(tmp_path / "clips.csv", said)
    windows = numbers(train) + numbers(validation)
    assert sorted(window[0] for window in windows) == [0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15, *range(15, 24)]
    assert all(window == list(range(window[0], window[0] + 3)) for window in windows)
    assert any("have parts on both sides" in line for line in said)


def test_clips_of_no_use_are_skipped_named_and_counted(tmp_path: Path) -> None:
    said: list[str] = []
    folder(tmp_path)
    write(tmp_path / "in" / "short.mkv", grey(2))
    (tmp_path / "in" / "broken.mp4").write_bytes(b"this is no video")
    (tmp_path / "in" / "empty.mp4").touch()
    (tmp_path / "in" / "folder").mkdir()
    train, validation = opened(tmp_path, said)
    assert len(train) + len(validation) == 80
    text = "\n".join(said)
    assert "too short: " in text
    assert "short.mkv has 2 frames over 40 ms, a window needs 3 frames 0 ms apart" in text
    for name in ("broken.mp4", "empty.mp4", "folder"):
        assert any(line.startswith("skipped, can't be read") and name in line for line in said)
    assert "skipped 4 of 12 clips" in said


def test_an_unusable_clip_sends_no_other_to_the_other_side(tmp_path: Path) -> None:
    def held_out() -> set[int]:
        return {row[0] // 3 for row in numbers(opened(tmp_path)[1]) if row[0] >= 0}

    for number in range(10):
        write(tmp_path / "in" / f"{number}.mkv", grey(3, 20 + 3 * LEVEL * number))
        write(tmp_path / "out" / f"{number}.mkv", grey(3, 20 - 2 * LEVEL))
    before = held_out()
    assert len(before) == 2
    for number in (min(before), *sorted({*range(10)} - before)[:2]):
        write(tmp_path / "in" / f"{number}.mkv", grey(2))
    assert held_out() == before - {min(before)}


def test_damaged_pictures_are_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    folder(tmp_path)
    place = tmp_path / "in" / "pictures"
    place.mkdir()
    for number, image in enumerate(grey(8)):
        cv2.imwrite(str(place / f"{number}.png"), image)
    (place / "3.png").write_bytes(b"broken")
    opened(tmp_path, said)
    assert any("pictures: 1 damaged pictures left out" in line for line in said)


def test_a_class_of_useless_clips_is_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    for clip in (tmp_path / "out").iterdir():
        write(clip, grey(2))
    with pytest.raises(ValueError, match="no usable clip is left in class out"):
        opened(tmp_path)


def test_a_single_usable_clip_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, clips=1)
    with pytest.raises(ValueError, match="class in: no usable clip for validation"):
        opened(tmp_path)


def test_classes_of_a_checkpoint_give_the_order_or_are_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    source = opened(tmp_path, labels=("out", "in"))[1]
    assert source.labels == ("out", "in")
    assert next(source.evaluate_batches(1)).labels.tolist() == [1]
    with pytest.raises(ValueError, match="has the classes in, out; the checkpoint has in, off"):
        opened(tmp_path, labels=("in", "off"))
