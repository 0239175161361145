"""A worker process as the supervisor sees it: start, poll, stop and kill."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import msgspec
import psutil

from pipeline.base.config import Config, RunConfig
from pipeline.base.redact import redact
from pipeline.base.role_names import Role
from pipeline.view.pipeline_view import Usage
from workers.down_worker import DownWorker
from workers.process import Report, run_spawned

_CONTEXT = multiprocessing.get_context("spawn")
_MEASURE_S = 1.0
"""Interval between two measurements of a starting process."""


class Child:
    """A worker's process and its replacements after it dies.

    Args:
        name: The worker's name, unique in its pipeline.
        role: The worker's role.
        print_line: Receives each line printed by the worker or its libraries, with passwords redacted; called
            from another thread.

    Attributes:
        ready: Whether the current process has reported that it is ready.
        restarts: Number of restarts.
        failures_in_a_row: Deaths since a process last ran for ``restart_reset_s``.
        restart_at_s: Monotonic time of the next restart; None if none is scheduled.
        down: Set from the detected death until the worker is ready again; otherwise None.
    """

    def __init__(self, name: str, role: Role, print_line: Callable[[str], None]) -> None:
        self.name, self.role = name, role
        self.ready = False
        self.restarts = 0
        self.failures_in_a_row = 0
        self.restart_at_s: float | None = None
        self.down: DownWorker | None = None
        self._print_line = print_line
        self._process: SpawnProcess | None = None
        self._control: Connection | None = None
        self._started_s = 0.0
        self._meter: psutil.Process | None = None
        self._usage: Usage | None = None
        self._measured_s = 0.0
        self._output: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int | None:
        """Id of its process; None if that is dead."""
        return self._process.pid if self._process is not None and self.alive else None

    @property
    def is_starting(self) -> bool:
        """Whether it was started and has not reported yet that it is ready."""
        return self._process is not None and not self.ready

    @property
    def exit_code(self) -> int | None:
        """Exit code of its process, negative for a signal; None while the process runs."""
        return self._process.exitcode if self._process is not None else None

    @property
    def age_s(self) -> float:
        """Seconds since its process was started."""
        return time.monotonic() - self._started_s

    @property
    def cause_of_death(self) -> str:
        """Why its process ended, human-readable."""
        code = self.exit_code
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"died with exit code {code}"

    def usage_at_start(self) -> Usage | None:
        """Process id, CPU and memory while it starts and cannot report them; otherwise None."""
        now_s = time.monotonic()
        if self.pid is None or self.ready:
            return None
        if self._usage is None or now_s - self._measured_s > _MEASURE_S:
            with contextlib.suppress(psutil.Error):
                meter = self._meter = self._meter or psutil.Process(self.pid)
                self._usage = Usage(meter.pid, meter.cpu_percent(), meter.memory_info().rss / 2**20)
                self._measured_s = now_s
        return self._usage

    def start(self, config: Config, options: dict[str, Any]) -> None:
        """Starts a process.

        Args:
            config: The configuration, with endpoints already placed in the run's folder.
            options: Further arguments of the worker's constructor.
        """
        control, control_of_child = _CONTEXT.Pipe(duplex=True)
        output, output_of_child = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=run_spawned,
            args=(self.role, config, self.name, options, control_of_child, output_of_child),
            name=self.name,
            daemon=True,
        )
        with _terminal_signals_ignored():
            self._process.start()
        control_of_child.close()
        output_of_child.close()
        self._control, self.ready, self.restart_at_s = control, False, None
        self._meter, self._usage = None, None
        self._started_s = time.monotonic()
        self._output = threading.Thread(target=self._read_output, args=(output,), daemon=True)
        self._output.start()

    def wait_after_death(self, run: RunConfig) -> float:
        """Counts a death; returns the back-off in seconds, which grows with consecutive failures."""
        if self.age_s > run.restart_reset_s:
            self.failures_in_a_row = 0
        waits = run.restart_backoff_s
        wait_s = waits[min(self.failures_in_a_row, len(waits) - 1)]
        self.failures_in_a_row += 1
        return wait_s

    def poll(self) -> Report | None:
        """The worker's report since the last call, if any."""
        if self._control is None:
            return None
        try:
            if not self._control.poll():
                return None
            report = msgspec.json.decode(self._control.recv_bytes(), type=Report)
        except (EOFError, OSError):
            self._control = None
            return None
        if report.kind == "ready":
            self.ready, self.down = True, None
        return report

    def tell(self, down: list[DownWorker]) -> None:
        """Sends the worker the list of other workers that are down, if it is alive."""
        if self._control is not None and self.alive:
            with contextlib.suppress(OSError):
                self._control.send_bytes(msgspec.json.encode(down))

    def ask_to_stop(self) -> None:
        """Asks the worker to stop gracefully."""
        self.restart_at_s = None
        if self._process is not None and self.alive:
            self._process.terminate()
            self.resume()

    def resume(self) -> None:
        """Resumes a process that was stopped by a signal, so that it can shut down."""
        if (pid := self.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kills its process without waiting for it."""
        if self._process is not None and self._process.exitcode is None:
            self._process.kill()

    def join(self) -> None:
        """Waits for a killed process and the rest of its output."""
        if self._process is not None:
            self._process.join()
        if self._output is not None:
            self._output.join(timeout=1.0)

    def _read_output(self, output: Connection) -> None:
        with os.fdopen(os.dup(output.fileno()), "r", encoding="utf-8", errors="replace") as stream:
            output.close()
            for line in stream:
                if line.strip():
                    self._print_line(f"{self.name}: {redact(line.rstrip())}")


@contextmanager
def _terminal_signals_ignored() -> Iterator[None]:
    """Ignores terminal signals, so that Ctrl-C for the supervisor does not kill a child during its imports.

    Only the main thread may set handlers; a fleet's agent starts workers in another thread, without a
    terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
