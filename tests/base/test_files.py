import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.files import PARTIAL, cache_folder, write_whole
from tests.support import files_up_to

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_replaced_and_nothing_else_stays(tmp_path: Path, sync: bool) -> None:
    path = tmp_path / "жест 手.json"
    write_whole(path, "été", sync=sync)
    write_whole(path, b"newer", sync=sync)
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_follow_the_mask_of_the_user(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"")
        write_whole(tmp_path / "key", b"", mode=0o600)
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "key")]
    assert modes == [0o640, 0o600]


def test_where_it_does_not_fit_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"old")
    with files_up_to(1000), pytest.raises(OSError, match="File too large"):
        write_whole(path, bytes(5000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_finds_a_part_even_if_the_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, bytes(1 << 20))
    code = "import sys; from pathlib import Path; from pipeline.base.files import write_whole\n"
    code += "for n in range(10**6): write_whole(Path(sys.argv[1]), bytes([n % 256]) * (1 << 20))"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT) as writer:
        seen: set[int] = set()
        while len(seen) < 5:
            content = path.read_bytes()
            assert len(content) == 1 << 20
            assert len({*content}) == 1
            seen.add(content[0])
        writer.kill()
    left = [other for other in tmp_path.iterdir() if other != path]
    assert all(other.name.endswith(PARTIAL) for other in left)


def test_the_cache_folder_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "kvq-stream"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "kvq-stream"
