"""From people's own clips to windows to train on."""

from pathlib import Path

import cv2
import pytest
import torch

from tests.training.recorded.films import LEVEL, folder, grey, numbers, opened, write


def test_windows_stay_in_their_clip_and_cover_it(tmp_path: Path) -> None:
    train, validation, _ = opened(folder(tmp_path, frames=6))
    of_a_clip = [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert numbers(train) == 6 * of_a_clip
    assert numbers(validation) == 2 * of_a_clip
    assert (len(train), len(validation)) == (24, 8)
    assert train.labels == ("in", "out")
    labels = torch.cat([clips.labels for clips in validation.evaluate_batches(3)])
    assert labels.tolist() == [0] * 4 + [1] * 4


def test_windows_are_picked_by_time_whatever_the_rate(tmp_path: Path) -> None:
    printed: list[str] = []
    folder(tmp_path, clips=2, frames=12)  # 40 ms apart
    write(tmp_path / "in" / "fast.mkv", grey(24, 20), fps=50)
    write(tmp_path / "in" / "slow.mkv", grey(5), fps=5)
    (tmp_path / "clips.csv").write_text(
        "path,label,split\nin/0.mkv,in,train\nout/0.mkv,out,train\nin/fast.mkv,in,val\nin/slow.mkv,in,val\n"
        "out/1.mkv,out,val\n"
    )
    train, validation, _ = opened(tmp_path / "clips.csv", printed, spacing_ms=80)
    assert numbers(train)[-8:] == [[n - 4, n - 2, n] for n in range(4, 12)]
    at_50 = [[0, 2, 6], [0, 3, 7], *([n - 8, n - 4, n] for n in range(8, 24))]
    picked = numbers(validation)
    assert [window for window in at_50 if window not in picked] == []
    assert picked[len(at_50) :][:3] == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert any("1 clips have less than one frame per 80 ms" in line for line in printed)


def test_folders_of_images_are_clips(tmp_path: Path) -> None:
    for label in ("in", "out"):
        for clip in range(2):
            place = tmp_path / label / f"clip{clip}"
            place.mkdir(parents=True)
            for number, image in enumerate(grey(12)):
                cv2.imwrite(str(place / f"{number}.png"), image)
    assert numbers(opened(tmp_path)[1])[:3] == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_parts_of_a_file_share_its_frames(tmp_path: Path) -> None:
    printed: list[str] = []
    write(tmp_path / "long.mkv", grey(26), fps=10)
    rows = ["long.mkv,in,0,0.6", "long.mkv,in,1.2,1.8", "long.mkv,out,0.6,1.2", "long.mkv,out,1.5,"]
    (tmp_path / "clips.csv").write_text("path,label,start_s,end_s\n" + "\n".join(rows))
    train, validation, _ = opened(tmp_path / "clips.csv", printed)
    windows = numbers(train) + numbers(validation)
    assert sorted(window[0] for window in windows) == [0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15, *range(15, 24)]
    assert all(window == list(range(window[0], window[0] + 3)) for window in windows)
    assert any("have parts in both training and validation" in line for line in printed)


def test_clips_of_no_use_are_skipped_named_and_counted(tmp_path: Path) -> None:
    printed: list[str] = []
    folder(tmp_path)
    write(tmp_path / "in" / "short.mkv", grey(2))
    (tmp_path / "in" / "broken.mp4").write_bytes(b"this is no video")
    (tmp_path / "in" / "empty.mp4").touch()
    (tmp_path / "in" / "folder").mkdir()
    train, validation, _ = opened(tmp_path, printed)
    assert len(train) + len(validation) == 80
    text = "\n".join(printed)
    assert "too short: " in text
    assert "short.mkv has 2 frames over 40 ms, a window needs 3 frames 0 ms apart" in text
    for name in ("broken.mp4", "empty.mp4", "folder"):
        assert any(line.startswith("skipped, can't be read") and name in line for line in printed)
    assert not any("; choose" in line or "; try" in line for line in printed)
    assert "skipped 4 of 12 clips" in printed


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


def test_base_names_of_several_classes_are_reported(tmp_path: Path) -> None:
    printed: list[str] = []
    opened(folder(tmp_path / "pairs"), printed)
    (line,) = (line for line in printed if "base names" in line)
    assert line.startswith(
        "4 base names, such as 0, occur in several classes: such clips may show one recording"
    )
    rings = tmp_path / "rings"
    for name in ("a/1", "a/2", "b/2", "b/3", "c/1", "c/3"):
        write(rings / f"{name}.mkv", grey(3))
    opened(rings, printed)
    assert any("of these base names, such as" in line and "are on both sides" in line for line in printed)
    for label in ("in", "out"):
        write(tmp_path / "given" / "train" / label / "0.mkv", grey(3))
        write(tmp_path / "given" / "val" / label / "0.mkv", grey(3))
    printed.clear()
    opened(tmp_path / "given", printed)
    assert not any("base names" in line for line in printed), "numbered per folder: a split of one's own"


def test_damaged_pictures_are_left_out(tmp_path: Path) -> None:
    printed: list[str] = []
    folder(tmp_path)
    place = tmp_path / "in" / "pictures"
    place.mkdir()
    for number, image in enumerate(grey(8)):
        cv2.imwrite(str(place / f"{number}.png"), image)
    (place / "3.png").write_bytes(b"broken")
    opened(tmp_path, printed)
    assert any("pictures: skipped 1 damaged frames" in line for line in printed)


def test_a_class_of_useless_clips_is_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    for clip in (tmp_path / "out").iterdir():
        write(clip, grey(2))
    with pytest.raises(ValueError, match="class out has no usable clip"):
        opened(tmp_path)


def test_a_single_usable_clip_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, clips=1)
    with pytest.raises(ValueError, match="class in: no usable clip for validation"):
        opened(tmp_path)


def test_classes_of_a_checkpoint_give_the_order_or_are_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    source = opened(tmp_path, labels=("out", "in"))[1]
    assert source.labels == ("out", "in")
    assert next(iter(source.evaluate_batches(1))).labels.tolist() == [1]
    with pytest.raises(ValueError, match="has the classes in, out; the checkpoint has in, off"):
        opened(tmp_path, labels=("in", "off"))


def test_clips_for_the_test_neither_train_nor_choose_the_weights(tmp_path: Path) -> None:
    folder(tmp_path, clips=3)
    rows = [
        f"{label}/{n}.mkv,{label},{('train', 'validation', 'test')[n]}"
        for label in ("in", "out")
        for n in range(3)
    ]
    (tmp_path / "clips.csv").write_text("path,label,split\n" + "\n".join(rows))
    printed: list[str] = []
    train, val, test = opened(tmp_path / "clips.csv", printed)
    assert test is not None
    assert [part.names for part in (train, val, test)] == [
        (f"in: in/{n}.mkv", f"out: out/{n}.mkv") for n in range(3)
    ]
    assert printed[-1] == "clips for the test: in 1 (10 windows), out 1 (10 windows)"
