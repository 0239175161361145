import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime.exported import model_cache, quantise
from pipeline.runtime.exported.model_cache import CachedModel

ROOT = Path(__file__).parents[3]
SIZE = 192, 256


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"weights")
    return path


def test_what_was_stored_is_found_again(tmp_path: Path, checkpoint: Path) -> None:
    assert CachedModel(checkpoint, ["engine 1"], tmp_path / "cache").load(SIZE) is None
    assert CachedModel(checkpoint, ["engine 1"], tmp_path / "cache").store(SIZE, [b"compiled"]) is None
    assert CachedModel(checkpoint, ["engine 1"], tmp_path / "cache").load(SIZE) == [b"compiled"]
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".model"]


def test_each_size_of_pictures_has_a_file_of_its_own(tmp_path: Path, checkpoint: Path) -> None:
    cached = CachedModel(checkpoint, ["engine 1"], tmp_path)
    cached.store(SIZE, [b"wide"])
    cached.store(SIZE[::-1], [b"tall"])
    assert (cached.load(SIZE), cached.load(SIZE[::-1])) == ([b"wide"], [b"tall"])
    assert cached.load((256, 256)) is None


def test_several_parts_come_back_as_they_were(tmp_path: Path, checkpoint: Path) -> None:
    parts = [b"step" * 100, b"", b"answer"]
    CachedModel(checkpoint, ["engine 1"], tmp_path).store(SIZE, parts)
    assert CachedModel(checkpoint, ["engine 1"], tmp_path).load(SIZE) == parts


def test_other_weights_and_other_versions_have_places_of_their_own(tmp_path: Path, checkpoint: Path) -> None:
    CachedModel(checkpoint, ["engine 1"], tmp_path).store(SIZE, [b"compiled"])
    assert CachedModel(checkpoint, ["engine 2"], tmp_path).load(SIZE) is None
    checkpoint.write_bytes(b"better weights")
    assert CachedModel(checkpoint, ["engine 1"], tmp_path).load(SIZE) is None


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that the digests are made from."""
    copy = shutil.copytree(model_cache._CODE, tmp_path / "pipeline", ignore=shutil.ignore_patterns("weights"))
    monkeypatch.setattr(model_cache, "_CODE", copy)
    return copy


def change_a_byte(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b" " if content.endswith(b"\n") else content[:-1] + b"#")


@pytest.mark.parametrize(
    "file", ["model/network.py", "runtime/base.py", "runtime/exported/convert.py", "runtime/cuda/rows.py"]
)
def test_a_byte_of_code_in_any_folder_gives_another_place(
    tmp_path: Path, checkpoint: Path, code: Path, file: str
) -> None:
    CachedModel(checkpoint, ["engine 1"], tmp_path / "cache").store(SIZE, [b"compiled"])
    assert CachedModel(checkpoint, ["engine 1"], tmp_path / "cache").load(SIZE) == [b"compiled"]
    change_a_byte(code / file)
    assert CachedModel(checkpoint, ["engine 1"], tmp_path / "cache").load(SIZE) is None


@pytest.mark.parametrize(
    "file",
    [
        "base/camera_motions.py",
        "training/samples.py",
        "training/rendered/film.py",
        "training/rendered/draw.py",
    ],
)
def test_int8_is_made_again_where_its_clips_are_drawn_otherwise(code: Path, file: str) -> None:
    before = quantise.versions()
    assert quantise.versions() == before
    change_a_byte(code / file)
    assert quantise.versions() != before


def test_all_code_that_renders_the_clips_counts() -> None:
    program = "import sys, pipeline.training.rendered.film\n"
    program += "for name, module in sys.modules.items():\n"
    program += "    if name.startswith('pipeline.') and not module.__file__.endswith('__init__.py'):\n"
    program += "        print(module.__file__)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, timeout=100, capture_output=True, text=True
    )
    files = [Path(line).relative_to(model_cache._CODE) for line in ended.stdout.splitlines()]
    places = [Path(place) for place in (*model_cache.ROOMS, *quantise.CLIP_CODE)]
    assert len(files) > 5
    assert [file for file in files if not any(file.is_relative_to(place) for place in places)] == []


@pytest.mark.parametrize("place", ["training/nowhere.py", "runtime/nowhere", "runtime/empty"])
def test_a_place_without_code_is_an_error(code: Path, place: str) -> None:
    (code / "runtime" / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        model_cache.code_digest("model", place)


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_file_is_nothing(tmp_path: Path, checkpoint: Path, damage: str) -> None:
    cached = CachedModel(checkpoint, ["engine 1"], tmp_path / "cache")
    cached.store(SIZE, [bytes(range(100))])
    (file,) = (tmp_path / "cache").iterdir()
    sound = file.read_bytes()
    flipped = sound[:60] + bytes([sound[60] ^ 1]) + sound[61:]
    file.write_bytes({"cut": sound[:-1], "bit": flipped, "empty": b""}[damage])
    assert cached.load(SIZE) is None
    cached.store(SIZE, [b"again"])
    assert cached.load(SIZE) == [b"again"]


def test_a_folder_that_can_not_be_written_is_reported(tmp_path: Path, checkpoint: Path) -> None:
    cached = CachedModel(checkpoint, ["engine 1"], checkpoint / "cache")
    problem = cached.store(SIZE, [b"compiled"])
    assert problem == f"{checkpoint / 'cache'}: Not a directory"
    assert cached.load(SIZE) is None


def test_only_the_models_used_last_are_kept(tmp_path: Path, checkpoint: Path) -> None:
    folder = tmp_path / "cache"
    for number in range(8):
        CachedModel(checkpoint, [f"engine {number}"], folder).store(SIZE, [b"compiled"])
    for age, path in enumerate(sorted(folder.iterdir())):
        os.utime(path, (1e9 - age, 1e9 - age))
    first, last = (CachedModel(checkpoint, [f"engine {number}"], folder) for number in (0, 8))
    first.load(SIZE)
    last.store(SIZE, [b"compiled"])
    assert len(list(folder.iterdir())) == 8
    assert first.load(SIZE) == last.load(SIZE) == [b"compiled"]


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", home)
    cached = CachedModel(checkpoint, ["engine 1"])
    assert cached.store(SIZE, [b"compiled"]) == "there is no home folder; set XDG_CACHE_HOME"
    assert cached.load(SIZE) is None


def test_what_a_killed_process_left_goes(tmp_path: Path, checkpoint: Path) -> None:
    old, new = tmp_path / "a.partial", tmp_path / "b.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    CachedModel(checkpoint, ["engine 1"], tmp_path).store(SIZE, [b"compiled"])
    assert not old.exists()
    assert new.exists()
