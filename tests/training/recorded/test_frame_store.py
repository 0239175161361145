import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.training.recorded.frame_store import FrameStore


def fill(store: FrameStore, count: int) -> FrameStore:
    """Adds frames that hold their number."""
    with store:
        for number in range(count):
            assert store.add(np.full((64, 64, 3), number, np.uint8)) == number
    return store


@pytest.mark.parametrize("memory_mb", [0, 1, 8])
def test_frames_come_back_from_memory_and_file(memory_mb: int) -> None:
    store = fill(FrameStore(64, memory_mb), 200)
    assert len(store) == 200
    assert all((store[number] == number).all() for number in range(200))
    in_memory = min(memory_mb * 2**20 // (64 * 64 * 3), 200)
    assert store.file_mb == pytest.approx((200 - in_memory) * 64 * 64 * 3 / 2**20)


def test_nothing_is_left_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = fill(FrameStore(64, 0), 3)
    assert list(tmp_path.iterdir()) == []
    assert (store[2] == 2).all()


def test_no_space_left_is_one_line() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(ValueError, match=r"no space for .* set TMPDIR"):
            fill(FrameStore(64, 0), 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
