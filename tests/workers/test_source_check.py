"""Wrong sources are reported before anything starts."""

from pathlib import Path

import pytest

from tests.workers.program import Program


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("no.mp4", "no.mp4: no such file or folder"),
        ("text.mp4", "text.mp4: not a video, or too damaged"),
        ("folder", "folder: the folder contains no images"),
        ("gopher://x/y", "gopher:// is not supported"),
    ],
)
def test_a_wrong_source_is_reported_before_any_worker_starts(
    source: str, complaint: str, place: Path
) -> None:
    (place / "text.mp4").write_text("no film\n" * 100)
    (place / "folder").mkdir()
    report, wrong = place / "new" / "report.json", source if "://" in source else str(place / source)
    options = ("--headless", "--no-web", "--report", str(report))
    with Program(place, *options, "--source", "demo", "--source", wrong) as program:
        outcome = program.finish()
    assert outcome.code == 2, outcome.told()
    assert complaint in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert outcome.out == "", "a worker has started"
    assert not report.parent.exists(), "a run that never began leaves nothing behind"
