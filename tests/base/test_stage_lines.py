import threading

import pytest

from pipeline.base import stage_lines
from pipeline.base.stage_lines import stage


def test_a_long_stage_goes_on_reporting_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_lines, "EVERY_S", 0.01)
    lines: list[str] = []
    twice = threading.Event()

    def notify(line: str) -> None:
        lines.append(line)
        if len(lines) == 3:
            twice.set()

    with stage("exporting", notify):
        assert twice.wait(30.0), lines
    assert lines[:3] == ["exporting ...", *["exporting: 0 s so far"] * 2]
    assert not any(thread.name == "stage" for thread in threading.enumerate())


def test_what_is_done_goes_to_standard_error_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    with stage("exporting"):
        assert capfd.readouterr() == ("", "exporting ...\n")
