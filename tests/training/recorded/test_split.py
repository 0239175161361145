"""Who is trained on, who chooses the weights, who is kept for the end."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.training.recorded.clip_index import ClipEntry, Split
from pipeline.training.recorded.split import never_trained_on, shared_names, split_clips


def test_the_split_is_stratified_and_fixed_by_the_seed() -> None:
    entries = [ClipEntry(Path(f"{n}.mp4"), "many" if n < 20 else "few") for n in range(24)]
    sides = split_clips(entries, 0.25, 7)
    assert sides == split_clips(entries, 0.25, 7)
    assert sides != split_clips(entries, 0.25, 8)
    assert sides[:20].count("val") == 5
    assert sides[20:].count("val") == 1


def test_both_sides_get_a_clip_whatever_the_share() -> None:
    entries = [ClipEntry(Path(f"{n}.mp4"), "ab"[n % 2]) for n in range(4)]
    for share in (0.01, 0.99):
        assert sorted(split_clips(entries, share, 0)) == ["train", "train", "val", "val"]
    for share in (0, 1, -0.2):
        with pytest.raises(ValueError, match="validation_share"):
            split_clips(entries, share, 0)


def test_a_class_without_a_clip_on_one_side_is_refused() -> None:
    single = [ClipEntry(Path("1"), "a"), ClipEntry(Path("2"), "a"), ClipEntry(Path("3"), "b")]
    with pytest.raises(ValueError, match="class b: no usable clip for validation"):
        split_clips(single, 0.5, 0)
    given = [ClipEntry(Path("1"), "a", split="val"), ClipEntry(Path("2"), "b", split="train")]
    with pytest.raises(ValueError, match="class a: no usable clip for training"):
        split_clips(given, 0.5, 0)


def pairs(*labels: str, clips: int, suffix: str = "mp4") -> list[ClipEntry]:
    return [ClipEntry(Path(f"{label}/{n}.{suffix}"), label) for label in labels for n in range(clips)]


def names(entries: list[ClipEntry], sides: list[Split], side: Split) -> list[str]:
    return [f"{entry.label}{entry.path.stem}" for entry, s in zip(entries, sides, strict=True) if s == side]


def test_clips_of_several_classes_with_one_base_name_are_on_one_side() -> None:
    for seed in range(20):
        entries = pairs("a", clips=12) + pairs("b", clips=12, suffix="MKV")
        drawn = names(entries, split_clips(entries, 0.25, seed), "val")
        assert [name[1:] for name in drawn[:3]] == [name[1:] for name in drawn[3:]], drawn
        entries = pairs("a", clips=20) + pairs("b", clips=4)
        drawn = names(entries, split_clips(entries, 0.25, seed), "val")
        of_both = {name[1:] for name in drawn if int(name[1:]) < 4}
        assert [name for name in drawn if name[0] == "b"] == [f"b{name}" for name in of_both]
        assert len(drawn) == 6


def test_a_base_name_of_most_clips_does_not_keep_them_together() -> None:
    """Such as that of a camera, in the folder of each session."""
    entries = [
        ClipEntry(Path(f"session{number}/left.mp4"), "in" if number < 20 else "out") for number in range(40)
    ]
    for seed in range(5):
        parts = split_clips(entries, 0.25, seed)
        held = Counter(entry.label for entry, part in zip(entries, parts, strict=True) if part == "val")
        assert held == {"in": 5, "out": 5}


def test_a_class_gets_a_validation_clip_even_if_that_divides_a_base_name() -> None:
    entries = [
        ClipEntry(Path(f"{label}/{n}.mp4"), label) for label, n in ("a1", "a2", "b2", "b3", "c1", "c3")
    ]
    for seed in range(20):
        drawn = names(entries, split_clips(entries, 0.25, seed), "val")
        assert sorted(name[0] for name in drawn) == ["a", "b", "c"]


def test_base_names_are_without_the_suffix_of_a_video_only_and_with_the_times_of_a_part() -> None:
    entries = [
        *(ClipEntry(Path("a/monday.1"), "a"), ClipEntry(Path("b/monday.2"), "b")),
        *(ClipEntry(Path("long.mp4"), "a", 0, 2), ClipEntry(Path("long.mp4"), "b", 2, 4)),
        *(ClipEntry(Path("a/x.mp4"), "a", 1, 2), ClipEntry(Path("b/x.avi"), "b", 1, 2)),
        *(ClipEntry(Path("a/y.mp4"), "a"), ClipEntry(Path("a/y.avi"), "a")),
    ]
    assert shared_names(entries) == {"x 1-2": [4, 5]}


def keys(*names: str) -> tuple[str, ...]:
    return tuple(f"a: {name}.mp4" for name in names)


def clip(name: str, part: Split | None = None) -> ClipEntry:
    return ClipEntry(Path(f"{name}.mp4"), "a", split=part)


def scored(
    entries: list[ClipEntry], known: dict[str, tuple[str, ...]] | None, notify: Callable[[str], None] = print
) -> list[str]:
    found = never_trained_on(entries, Path("clips.csv"), known, share=0.5, seed=0, notify=notify)
    return [entry.path.stem for entry in found]


def test_a_split_of_the_data_is_believed() -> None:
    entries = [clip("1", "train"), clip("2", "train"), clip("3", "val"), clip("4", "test")]
    assert split_clips(entries, 0.99, 0) == ["train", "train", "val", "test"]
    assert scored(entries, None) == ["4"]
    assert scored(entries[:3], None) == ["3"]


def test_validation_is_drawn_where_the_data_keeps_clips_for_the_test_alone() -> None:
    entries = [clip(str(n), "test" if n < 4 else "train") for n in range(12)]
    parts = split_clips(entries, 0.25, 0)
    assert parts[:4] == ["test"] * 4
    assert sorted(parts[4:]) == ["train"] * 6 + ["val"] * 2


def test_clips_that_were_trained_on_are_never_scored() -> None:
    entries = [clip("1", "val"), clip("2", "val"), clip("3", "train")]
    known = {"train": keys("1"), "held_out": keys("3")}
    lines: list[str] = []
    assert scored(entries, known, lines.append) == ["2"]
    assert lines == ["skipped 1 clips of its val part that were trained on"]
    with pytest.raises(ValueError, match="were trained on"):
        scored(entries[:1], known)


def test_without_a_split_those_that_the_training_held_out_are_scored() -> None:
    entries = [clip("1"), clip("2"), clip("3"), clip("4")]
    known = {"train": keys("1"), "validation": keys("2"), "held_out": keys("3", "5")}
    lines: list[str] = []
    assert scored(entries, known, lines.append) == ["3"]
    assert lines[0].startswith("skipped 1 clips added since training")
    assert lines[1] == "1 of 2 clips held out in training are missing"
    assert scored([clip("7"), clip("8")], known) == ["7", "8"], "another data set"
    with pytest.raises(ValueError, match="none that were held out"):
        scored([clip("1")], known)
    assert len(scored(entries, None)) == 2


def test_a_split_that_names_only_clips_to_train_on_counts_as_none() -> None:
    entries = [clip(str(n), "train") for n in range(4)]
    drawn = [
        entry.path.stem
        for entry, part in zip(entries, split_clips(entries, 0.5, 0), strict=True)
        if part == "val"
    ]
    assert len(drawn) == 2
    assert scored(entries, None) == drawn
    assert scored(entries, {"train": keys("0", "1", "2"), "held_out": keys("3")}) == ["3"]
