"""Temporary folders of processes that live, end and are killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.scratch import scratch_folder
from tests.workers.program import Program, until

HOLDER = """
import sys, time
from pathlib import Path
from pipeline.base.scratch import scratch_folder
with scratch_folder(".test-", Path(sys.argv[1])) as folder:
    (folder / "draft").write_text("half")
    print(folder, flush=True)
    time.sleep(100)
"""


def holder(parent: Path) -> "tuple[subprocess.Popen[str], Path]":
    """A process that holds a folder."""
    command = [sys.executable, "-c", HOLDER, str(parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_it_is_there_inside_and_gone_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with scratch_folder(".test-", tmp_path) as folder:
            (folder / "draft").write_text("half")
            assert [*folder.iterdir()] == [folder / "draft"], "nothing else lies there"
            assert [*tmp_path.iterdir()] == [folder.parent]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_only_what_dead_processes_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".test-file").write_text("no folder")
    (tmp_path / "other").mkdir()
    (tmp_path / ".test-link").symlink_to(tmp_path / "other", target_is_directory=True)
    living, held = holder(tmp_path)
    dead, left = holder(tmp_path)
    try:
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        assert (left / "draft").exists()
        with scratch_folder(".test-", tmp_path) as mine:
            assert (held / "draft").exists()
            assert not left.parent.exists()
            assert mine not in (held, left)
        assert {path.name for path in tmp_path.iterdir()} == {
            ".test-file",
            ".test-link",
            "other",
            held.parent.name,
        }
    finally:
        for process in (living, dead):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def test_it_lies_where_the_system_keeps_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder("kvq-test-") as folder:
        assert folder.parent.parent == tmp_path
        assert folder.parent.stat().st_mode & 0o077 == 0, "for its owner only"


@pytest.mark.slow
def test_an_export_that_is_killed_leaves_nothing_for_long(place: Path) -> None:
    def drafts(program: Program) -> list[Path]:
        return list((place / "models").glob(".export-*/files"))

    arguments = ("export", "--out", str(place / "models" / "step.xml"))
    with Program(place, *arguments, name="killed") as killed:
        until(lambda: drafts(killed), "a draft", 60.0, lambda: killed.err)
        (left,) = drafts(killed)
        killed.signal(signal.SIGKILL)
        killed.process.wait()
    assert drafts(killed) == [left]
    with Program(place, *arguments, name="asked") as asked:
        until(lambda: drafts(asked) not in ([left], []), "another draft", 60.0, lambda: asked.err)
        assert left not in drafts(asked)
        asked.signal(signal.SIGTERM)
        assert asked.process.wait(30.0) == 128 + signal.SIGTERM
        assert drafts(asked) == []
