"""Runs ``run_stream.py`` as users do: a program of its own, watched from outside, never left behind."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.support import until

PROGRAM = Path(__file__).parents[2] / "run_stream.py"
STARTED_AS = f"python {shlex.quote(str(PROGRAM))}"
"""What messages of a ``Program`` call it."""
START_S, RUN_S, END_S = 60.0, 100.0, 10.0
_STDOUT, _STDERR = "stdout.txt", "stderr.txt"


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
        """The stats of one stream, after the check that each of its frames has exactly one fate."""
        stats: dict[str, Any] = self.report["streams"][stream_id]
        dropped = sum(stats["dropped"].values())
        assert stats["unaccounted"] == 0, self.told()
        assert stats["captured"] == stats["rendered"] + dropped, self.told()
        return stats

    def told(self) -> str:
        """Everything that the run said, for the message of a failed assertion."""
        return f"exit code {self.code} after {self.seconds:.1f} s\n{self.out}\n{self.err}\n{self.report}"


class Program:
    """``python run_stream.py ARGUMENTS`` in a process group of its own, with its own runtime folder.

    Inside ``with`` it runs; whatever of it is still there at the end is killed.

    Attributes:
        wrapper: What comes before it on the command line: a shell that pipes its output, for example.
        program: How it is started.
    """

    wrapper: tuple[str, ...] = ()
    program: tuple[str, ...] = (sys.executable, str(PROGRAM))

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
                [*self.wrapper, *self.program, *self._arguments],
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

    def finish(self, timeout_s: float = RUN_S) -> Outcome:
        """Waits for the end, and checks that no process and no file of the run is left."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s:g} s: {self._told()}") from None
        seconds = time.monotonic() - self.started_s
        self.wait_until_gone()
        report = self.report_file.read_text() if self.report_file.exists() else ""
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
