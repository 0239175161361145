"""Runs ``run_stream.py`` as users do: a program of its own, watched from outside, never left behind."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil

from pipeline.config import load_config
from pipeline.stats import StreamStats, WorkerStats
from workers.monitor import Collector
from workers.rundir import place_endpoints

PROGRAM = Path(__file__).parents[2] / "run_stream.py"
QUICK = ("--set", "inference.threads=1", "--set", "sink.web=false")
"""Tests share the machine: one thread for the model, and no web page where it is not the subject."""

START_S, RUN_S, END_S = 60.0, 100.0, 10.0
_STDOUT, _STDERR = "stdout.txt", "stderr.txt"
T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What was left of a run.

    Attributes:
        code: Exit code of the program.
        out: Its standard output.
        err: Its standard error.
        report: What ``--report`` wrote; empty if nothing.
        predictions: What ``--predictions`` wrote, one object a line.
        seconds: How long it ran.
    """

    code: int
    out: str
    err: str
    report: dict[str, Any]
    predictions: list[dict[str, Any]]
    seconds: float

    def stream(self, stream_id: str) -> dict[str, Any]:
        """The figures of one stream, after the check that each of its frames has exactly one fate."""
        figures: dict[str, Any] = self.report["streams"][stream_id]
        dropped = sum(figures["dropped"].values())
        assert figures["unaccounted"] == 0, self.told()
        assert figures["captured"] == figures["rendered"] + dropped, self.told()
        return figures

    def told(self) -> str:
        """Everything that the run said, for the message of a failed assertion."""
        return f"exit code {self.code} after {self.seconds:.1f} s\n{self.out}\n{self.err}\n{self.report}"


class Program:
    """``python run_stream.py ARGUMENTS`` in a process group of its own, with its own runtime folder.

    Inside ``with`` it runs; whatever of it is still there at the end is killed.
    """

    def __init__(self, folder: Path, *arguments: str, name: str = "run") -> None:
        """Notes what to run.

        Args:
            folder: For everything that the program leaves: shared by the programs of one test.
            arguments: Of the command line.
            name: Of this program's files in ``folder``.
        """
        self.folder = folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.runtime = folder / "runtime"
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        self.report_file = self.folder / "report.json"
        self.predictions_file = self.folder / "predictions.jsonl"
        self._arguments = arguments

    @property
    def environment(self) -> dict[str, str]:
        """That of the test, with a runtime folder of its own and without the test's clock."""
        mine = {"XDG_RUNTIME_DIR": str(self.runtime), "OMP_NUM_THREADS": "1"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KVQ_")}
        return kept | mine

    def __enter__(self) -> Self:
        with (self.folder / _STDOUT).open("wb") as out, (self.folder / _STDERR).open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
            )
        self.started_s = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def out(self) -> str:
        """Standard output until now."""
        return (self.folder / _STDOUT).read_text(errors="replace")

    @property
    def err(self) -> str:
        """Standard error until now."""
        return (self.folder / _STDERR).read_text(errors="replace")

    def members(self) -> list[int]:
        """Processes of the program's group that run, itself included."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found

    def wait_for(self, text: str, timeout_s: float = START_S) -> None:
        """Waits until standard output holds a text (a regular expression)."""
        until(lambda: re.search(text, self.out), f"{text!r} in the output", timeout_s, self._told)

    def signal(self, number: int) -> None:
        """Sends a signal to the program itself, not to its workers."""
        self.process.send_signal(number)

    def finish(self, timeout_s: float = RUN_S, *, reads_report: bool = True) -> Outcome:
        """Waits for the end, and checks that no process and no file of the run is left."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s:g} s: {self._told()}") from None
        seconds = time.monotonic() - self.started_s
        self.wait_until_gone()
        report = self.report_file.read_text() if reads_report and self.report_file.exists() else ""
        lines = self.predictions_file.read_text().splitlines() if self.predictions_file.exists() else []
        return Outcome(
            code,
            self.out,
            self.err,
            json.loads(report) if report else {},
            [json.loads(line) for line in lines],
            seconds,
        )

    def wait_until_gone(self, timeout_s: float = END_S) -> None:
        """Waits until no process of the group is left."""
        until(lambda: not self.members(), "no process is left", timeout_s, self._told)

    def _told(self) -> str:
        return f"\n{self.out}\n{self.err}"


class Pipeline(Program):
    """All workers under the supervisor, with report and predictions; watched through their figures."""

    def __init__(self, folder: Path, *arguments: str, name: str = "run", quick: bool = True) -> None:
        """Notes what to run, as ``Program``; ``quick`` adds the options that save time."""
        super().__init__(folder, *arguments, name=name)
        files = ("--report", str(self.report_file), "--predictions", str(self.predictions_file))
        videos = ("--set", f"run.output_dir={self.folder / 'videos'}")
        self._arguments = ("--headless", *files, *videos, *(QUICK if quick else ()), *arguments)
        self._collector: Collector | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._collector is not None:
            self._collector.close()

    def run_folders(self) -> list[Path]:
        """What the runs of this test have left in their runtime folder."""
        return sorted((self.runtime / "kvq-stream").glob("*"))

    def figures(self, role: str) -> WorkerStats | None:
        """The newest figures of a worker, as a monitor gets them."""
        if self._collector is None:
            folders = self.run_folders()
            if not folders:
                return None
            config = place_endpoints(load_config(), folders[-1])
            self._collector = Collector(config)
        self._collector.poll(0.05)
        return self._collector.newest(role)

    def stream(self, role: str, stream_id: str) -> StreamStats:
        """The newest figures of a worker for one stream; zeros before it has any."""
        figures = self.figures(role)
        return figures.streams.get(stream_id, StreamStats()) if figures else StreamStats()

    def wait_until(
        self, role: str, stream_id: str, condition: Callable[[StreamStats], bool], timeout_s: float = START_S
    ) -> None:
        """Waits until a worker's figures for a stream fulfil a condition."""

        def fulfilled() -> bool:
            assert self.process.poll() is None, f"ended while the test waited: {self._told()}"
            return condition(self.stream(role, stream_id))

        until(fulfilled, f"the figures of {role} that the test waits for", timeout_s, self._told)

    def wait_for_rendered(self, stream_id: str, frames: int, timeout_s: float = START_S) -> None:
        """Waits until the sink has shown a number of frames; a restarted sink counts anew."""
        self.wait_until("sink", stream_id, lambda stats: stats.rendered >= frames, timeout_s)

    def wait_for_overlays(self, stream_id: str, frames: int, timeout_s: float = START_S) -> None:
        """Waits until the sink has shown a number of frames together with their predictions."""
        self.wait_until(
            "sink",
            stream_id,
            lambda stats: stats.rendered - sum(stats.rendered_without.values()) >= frames,
            timeout_s,
        )

    def pid(self, role: str) -> int:
        """Process id of the worker that has this role now."""
        figures = self.figures(role)
        assert figures is not None, self._told()
        return figures.pid

    def kill(self, role: str) -> None:
        """Kills a worker as the out-of-memory killer would, and waits until another one is up."""
        figures = self.figures(role)
        assert figures is not None, self._told()
        dead = figures.session
        os.kill(figures.pid, signal.SIGKILL)

        def another() -> bool:
            newest = self.figures(role)
            return newest is not None and newest.session != dead and newest.state == "ready"

        until(another, f"{role} is started again", START_S, self._told)

    def finish(self, timeout_s: float = RUN_S, *, reads_report: bool = True) -> Outcome:
        """Waits for the end; checks that no process, folder or socket of the run is left."""
        outcome = super().finish(timeout_s, reads_report=reads_report)
        assert self.run_folders() == [], outcome.told()
        return outcome


def until(condition: Callable[[], T], what: str, timeout_s: float, told: Callable[[], str] = lambda: "") -> T:
    """Waits for something that must happen, and returns it; says what did not."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"never happened: {what} {told()}"
        time.sleep(0.02)
    return value


def streams(*tables: dict[str, Any]) -> tuple[str, str]:
    """Options that configure ``[[streams]]`` with more than ``--source`` can say."""
    texts = [", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) for table in tables]
    return "--set", f"streams=[{', '.join(f'{{{text}}}' for text in texts)}]"
