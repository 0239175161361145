"""A report is written whole or not at all."""

import json
import os
import threading
from pathlib import Path

import pytest

from pipeline.base.errors import ConfigError
from workers.commands.report import check_writable, write_report

REPORT = {"streams": {f"camera {number}": {"captured": number} for number in range(2000)}}


def test_on_a_full_disk_the_former_report_stays_as_it_was(small_disk: Path) -> None:
    file = small_disk / "report.json"
    assert write_report({"former": True}, file) == []
    (small_disk / "filler").write_bytes(bytes(60_000))
    assert write_report(REPORT, file) == [f"{file}: can't write the report: No space left on device"]
    assert json.loads(file.read_text()) == {"former": True}
    assert {path.name for path in small_disk.iterdir()} == {"report.json", "filler"}


def test_a_report_replaces_what_a_link_points_to(tmp_path: Path) -> None:
    file, link = tmp_path / "report.json", tmp_path / "newest.json"
    link.symlink_to(file)
    assert check_writable(link) is None
    assert write_report(REPORT, link) == []
    assert link.is_symlink()
    assert json.loads(file.read_text()) == REPORT


def test_a_report_may_go_into_a_pipe(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    assert check_writable(pipe) is None
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert write_report(REPORT, pipe) == []
    reader.join(10.0)
    assert json.loads(read[0]) == REPORT
    assert pipe.is_fifo()


def test_the_check_leaves_nothing_behind_and_makes_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "report.json"
    assert check_writable(file) == tmp_path / "a"
    assert list(file.parent.iterdir()) == []
    for impossible in (tmp_path, Path("/proc/report.json")):
        with pytest.raises(ConfigError, match="can't write the report"):
            check_writable(impossible)
