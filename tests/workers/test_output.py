"""Standard output that goes away: the run ends in order, with its report, and no worker is killed."""

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import threading
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.workers.films import camera_film
from tests.workers.pipeline import QUICK, Pipeline, quick_model, streams
from tests.workers.program import PROGRAM, Outcome, Program

FRAMES = 2500
"""More than a test waits for: only the output that is closed ends the run."""


def camera(place: Path) -> tuple[str, str]:
    film = camera_film(place / "film.mp4", frames=FRAMES, width=320, height=240)
    return streams({"id": "cam", "source": str(film), "policy": "newest"})


def piped_to(reader: str) -> tuple[str, ...]:
    """What lets another program read standard output, until that has enough."""
    return ("bash", "-o", "pipefail", "-c", f'"$@" | {reader}', "--")


def test_a_run_whose_output_nobody_reads_any_more_ends_in_order(place: Path) -> None:
    run = Pipeline(place, *camera(place))
    run.wrapper = piped_to("sed -u '/shown [1-9]/q'")  # until the first frame was shown
    with run:
        outcome = run.finish()
    assert re.search(r"shown [1-9]", outcome.out.splitlines()[-1]), outcome.told()
    check_end(outcome)


def test_a_lone_worker_whose_output_nobody_reads_any_more_ends_in_order(place: Path) -> None:
    alone = ("--set", "capture.wait_for=[]", "--set", "freshness.max_age_ms=100")
    capture = Program(place, "capture", *camera(place), *alone)
    capture.wrapper = piped_to("head -n 1")  # its readiness; that nobody reports ages comes later
    with capture:
        outcome = capture.finish()
    assert outcome.code == 0, outcome.told()
    assert (len(outcome.out.splitlines()), outcome.err) == (1, "")


def test_a_run_whose_predictions_nobody_reads_any_more_ends_in_order(place: Path) -> None:
    run = Pipeline(place, *camera(place), "--predictions", "-")
    run.wrapper = piped_to("head -n 4")
    with run:
        outcome = run.finish()
    assert [line.startswith("{") for line in outcome.out.splitlines()] == [True] * 4
    assert "Traceback" not in outcome.err
    assert outcome.code == 0, outcome.told()
    assert 4 <= outcome.stream("cam")["rendered"] < FRAMES


def test_a_run_whose_terminal_is_closed_ends_in_order(place: Path) -> None:
    report = place / "run" / "report.json"
    quick = (*quick_model(), *QUICK[2:], "--set", "sink.record=false")
    with InTerminal(place, *camera(place), "--report", str(report), *quick) as run:
        run.wait_for(r"3 of 3 workers ready")
        run.wait_for(r"up .*\d+\.?\d*/\d+\.?\d*/\d+")
        run.close_terminal()
        outcome = run.finish()
    check_end(outcome)


def test_a_run_without_standard_output_works(place: Path) -> None:
    run = Pipeline(place, "--frames", "3")
    run.wrapper = ("sh", "-c", '"$@" <&- >&-', "--")
    with run:
        outcome = run.finish()
    assert (outcome.code, outcome.out, outcome.err) == (0, "", ""), outcome.told()
    assert outcome.stream("demo")["rendered"] == 3


def check_end(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome.told()
    assert "Traceback" not in outcome.out + outcome.err
    stream = outcome.stream("cam")
    assert 0 < stream["rendered"] < FRAMES
    assert not [reason for reason in stream["dropped"] if reason.endswith(".killed")]
    assert {worker["restarts"] for worker in outcome.report["workers"].values()} == {0}


class InTerminal(Program):
    """A program in a terminal of its own, which can be closed; what it shows is read all the time."""

    def __enter__(self) -> Self:
        self._closing = threading.Event()
        self._terminal, end = pty.openpty()
        (self.folder / "stdout.txt").touch()
        (self.folder / "stderr.txt").touch()
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *self._arguments],
            stdin=end,
            stdout=end,
            stderr=end,
            cwd=self.folder,
            env=self.environment | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
            start_new_session=True,
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),
        )
        self.started_s = 0.0
        os.close(end)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_terminal()
        super().__exit__(kind, error, trace)

    def close_terminal(self) -> None:
        """As when its window is closed: programs in it get SIGHUP, and can't write any more."""
        self._closing.set()
        self._reader.join()

    def _read(self) -> None:
        with (self.folder / "stdout.txt").open("wb", buffering=0) as shown:
            while not self._closing.is_set():
                if select.select([self._terminal], [], [], 0.05)[0]:
                    shown.write(os.read(self._terminal, 65536))
        os.close(self._terminal)
