import math
from pathlib import Path

import pytest

from pipeline.training.recorded.clip_index import ClipEntry, list_clips


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def listed(path: Path) -> list[tuple[str, str, str | None]]:
    return [(entry.path.name, entry.label, entry.split) for entry in list_clips(path, print)]


def table(root: Path, text: str) -> Path:
    touch(root, "one.mp4", "two.mp4")
    (root / "clips.csv").write_text(text, encoding="utf-8")
    return root / "clips.csv"


def test_a_folder_for_each_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touch(
        tmp_path, "out/b.MOV", "out/a.webm", "out/notes.txt", "out/.hidden", "in/c.mkv", "in/pictures/0.png"
    )
    assert listed(tmp_path) == [
        ("c.mkv", "in", None),
        ("pictures", "in", None),
        ("a.webm", "out", None),
        ("b.MOV", "out", None),
    ]
    assert "out: skipped 1 files that are not videos" in capsys.readouterr().out


def test_folders_for_the_parts_of_the_split_are_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    touch(
        tmp_path, "train/a/1.mp4", "train/b/2.mp4", "Validation/a/3.mp4", "Validation/b/4.mp4", "more/a/5.mp4"
    )
    assert [split for _, _, split in listed(tmp_path)] == ["train", "train", "val", "val"]
    assert "more: skipped, because it is not in Validation, train" in capsys.readouterr().out
    touch(tmp_path, "test/a/6.mp4")
    assert listed(tmp_path)[-1] == ("6.mp4", "a", "test")


def test_a_csv_file_with_parts_and_sides(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "path,label,start_s,end_s,split\none.mp4,in,1.5,3,train\none.mp4, out,,,Validation\n"
        "two.mp4,in,,2,val\ntwo.mp4,out,4,,test\n",
    )
    one, two = tmp_path / "one.mp4", tmp_path / "two.mp4"
    assert list_clips(path, print) == [
        ClipEntry(one, "in", 1.5, 3.0, "train"),
        ClipEntry(one, "out", 0.0, math.inf, "val"),
        ClipEntry(two, "in", 0.0, 2.0, "val"),
        ClipEntry(two, "out", 4.0, math.inf, "test"),
    ]


def test_folders_with_errors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder or file"):
        list_clips(tmp_path / "nowhere", print)
    with pytest.raises(ValueError, match="has no class folders"):
        list_clips(tmp_path, print)
    touch(tmp_path, "a/1.mp4")
    with pytest.raises(ValueError, match=r"only one class \(a\)"):
        list_clips(tmp_path, print)
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match=r"class folder .*b contains nothing"):
        list_clips(tmp_path, print)
    touch(tmp_path, "b/1.jpg", "b/2.jpg")
    with pytest.raises(ValueError, match="b contains only 2 files that are not videos"):
        list_clips(tmp_path, print)
    with pytest.raises(ValueError, match=r"neither a folder nor a \.csv file"):
        list_clips(tmp_path / "a" / "1.mp4", print)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\none.mp4,in\n", "no column path; .*not file,label"),
        ("", "no column path and label"),
        ("path,label\n", "lists no clips"),
        ("path,label\none.mp4,in\nthree.mp4,out\n", "line 3: no such clip: .*three.mp4"),
        ("path,label\none.mp4,\n", "line 2: needs a path and a label"),
        ("path,label,start_s\none.mp4,in,soon\n", "line 2: start_s must be seconds, not 'soon'"),
        ("path,label,start_s,end_s\none.mp4,in,5,4\n", "line 2: start_s 5 must be before end_s 4"),
        ("path,label,start_s\none.mp4,in,nan\n", "line 2: start_s nan must be before"),
        (
            "path,label,split\none.mp4,in,val\ntwo.mp4,out,dev\n",
            "line 3: split must be one of train, val, validation, test, not 'dev'",
        ),
        (
            "path,label,split\none.mp4,in,val\ntwo.mp4,out,\n",
            "line 3: has no split; set it .* for all clips or for none",
        ),
        ("path,label\none.mp4,in\ntwo.mp4,in\n", "only one class"),
    ],
)
def test_csv_files_with_errors_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list_clips(table(tmp_path, text), print)


def test_csv_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such"):
        list_clips(tmp_path / "none.csv", print)
    (tmp_path / "binary.csv").write_bytes(b"path,label\n\xff\xfe\x00,in\n")
    with pytest.raises(ValueError, match="can't be read as CSV"):
        list_clips(tmp_path / "binary.csv", print)
