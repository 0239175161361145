"""Runs a whole pipeline on one machine: starts its workers, watches, restarts and stops them."""

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

import msgspec

from pipeline.base.clock import now_ns
from pipeline.base.config import Config
from pipeline.base.errors import UserError
from pipeline.base.redact import redact
from pipeline.base.roles import Role
from workers.monitor import Collector, Screen
from workers.process import EXIT_OK, Report, run_spawned
from workers.roles import SYSTEM

_POLL_S = 0.05
_KILL_AFTER_S = 5.0
_QUIET_S = 2.0


class StartError(UserError):
    """The pipeline did not come up because of something that the user has to change; one line."""


class PipelineError(Exception):
    """The pipeline broke down; one line."""


@dataclass
class _Child:
    """One worker's process, and when it is to be started again."""

    role: Role
    process: SpawnProcess | None = None
    control: Connection | None = None
    ready: bool = False
    was_ready: bool = False
    restarts: int = 0
    failures_in_a_row: int = 0
    started_s: float = 0.0
    restart_at_s: float | None = None
    output: threading.Thread | None = field(default=None, repr=False)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()


class Supervisor:
    """Starts all workers and keeps them running until the streams end or somebody stops it.

    Args:
        config: With endpoints already placed in the run's folder.
        screen: Where lines and figures go.
        title: Shown above the figures.
        stdout: Standard output, if it is reserved for the predictions of the sink.
    """

    def __init__(self, config: Config, screen: Screen, title: str, stdout: Connection | None = None) -> None:
        self._config = config
        self._screen = screen
        self._title = title
        self._stdout = stdout
        self._collector = Collector(config)
        self._children = {role: _Child(role) for role in SYSTEM}
        self._context = multiprocessing.get_context("spawn")
        self._output: list[str] = []
        self._news: list[str] = []
        self._interrupts = 0

    @property
    def _processes(self) -> dict[str, int | None]:
        """By worker: id of its process, None if that is dead."""
        return {
            role: child.process.pid if child.process is not None and child.alive else None
            for role, child in self._children.items()
        }

    @property
    def restarts(self) -> dict[str, int]:
        """How often each worker was restarted."""
        return {child.role: child.restarts for child in self._children.values()}

    def run(self) -> dict[str, Any]:
        """Runs the pipeline to its end.

        Returns:
            The report.

        Raises:
            StartError: The user has to change something.
            PipelineError: A worker failed at the start for another reason.
        """
        handlers = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            for child in self._children.values():
                self._start(child)
            self._wait_until_ready()
            self._work()
            self._drain()
            self._stop(turn=1)
        finally:
            self._kill()
            self._look(0.1)
            self._screen.close()
            self._collector.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return self._collector.report(self.restarts, final=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            self._news.append("stopping: frames under way are finished; Ctrl-C again leaves at once")
        if self._interrupts > 1:  # leave at once: the workers see the pipe close, and are killed here
            for child in self._children.values():
                if (
                    child.process is not None
                    and child.process.pid is not None
                    and child.process.exitcode is None
                ):
                    os.kill(child.process.pid, signal.SIGKILL)
            raise KeyboardInterrupt

    def _start(self, child: _Child) -> None:
        control, control_of_child = self._context.Pipe(duplex=True)
        output, output_of_child = self._context.Pipe(duplex=False)
        options: dict[str, Any] = {
            "restarts": child.restarts,
            "former": self._collector.former(child.role),
        }
        if child.role == "capture":
            options["first_epochs"] = self._next_epochs()
        if child.role == "sink":
            options["stdout"] = self._stdout
        child.process = self._context.Process(
            target=run_spawned,
            args=(child.role, self._config, child.role, options, control_of_child, output_of_child),
            name=child.role,
            daemon=True,
        )
        # A child that is still importing must not die of the Ctrl-C that is meant for its supervisor.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            child.process.start()
        finally:
            signal.signal(signal.SIGINT, handler)
        control_of_child.close()
        output_of_child.close()
        child.control, child.ready, child.restart_at_s = control, False, None
        child.started_s = time.monotonic()
        child.output = threading.Thread(target=self._read_output, args=(child.role, output), daemon=True)
        child.output.start()

    def _next_epochs(self) -> dict[str, int]:
        """A restarted capture worker goes on counting epochs where the dead one was."""
        report = self._collector.report(self.restarts)
        return {stream_id: stream["epochs"] for stream_id, stream in report["streams"].items()}

    def _read_output(self, role: str, output: Connection) -> None:
        """Collects what a worker or its libraries print, line by line, with passwords hidden."""
        with os.fdopen(os.dup(output.fileno()), "r", encoding="utf-8", errors="replace") as stream:
            output.close()
            for line in stream:
                if line.strip():
                    self._output.append(f"{role}: {redact(line.rstrip())}")

    def _look(self, timeout_s: float) -> None:
        """Takes in figures and output, and shows them."""
        news = self._collector.poll(timeout_s)
        output, self._output = self._output, []
        for line in output:
            self._screen.say(line)
        mine, self._news = self._news, []
        for text in mine + news:
            self._screen.event(text)
        self._screen.update(self._collector.view(self._title, self.restarts, self._processes))

    def _hear(self, child: _Child) -> Report | None:
        """What the worker said last, if anything new."""
        if child.control is None:
            return None
        try:
            if not child.control.poll():
                return None
            report = msgspec.json.decode(child.control.recv_bytes(), type=Report)
        except (EOFError, OSError):
            child.control = None
            return None
        child.ready = child.ready or report.kind == "ready"
        if child.was_ready and report.kind == "ready" and child.process is not None:
            self._screen.event(f"{child.role} is ready again (pid {child.process.pid})")
        return report

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + self._config.run.ready_timeout_s
        while not all(child.ready for child in self._children.values()):
            self._look(_POLL_S)
            if self._interrupts:
                return
            for child in self._children.values():
                alive = child.alive  # asked first: what it said before it died must not be missed
                report = self._hear(child)
                if report and report.kind == "mistake":
                    raise StartError(report.text)
                if report and report.kind == "failed":
                    raise PipelineError(f"{child.role} failed at the start: {report.text}")
                if not alive and not child.ready and report is None:
                    code = child.process.exitcode if child.process else None
                    raise PipelineError(f"{child.role} died at the start (exit code {code})")
            if time.monotonic() > deadline_s:
                late = ", ".join(child.role for child in self._children.values() if not child.ready)
                raise PipelineError(
                    f"not ready after {self._config.run.ready_timeout_s:g} s: {late}; "
                    "on a slow machine raise run.ready_timeout_s"
                )
        for child in self._children.values():
            child.was_ready = True
        pids = ", ".join(f"{role} {pid}" for role, pid in self._processes.items())
        self._screen.event(f"all workers are ready (pids: {pids})")

    def _work(self) -> None:
        """Watches and restarts until capture has ended, the time is up or somebody wants to stop.

        Raises:
            PipelineError: A worker dies again and again.
        """
        limit_s = self._config.run.seconds
        until_s = time.monotonic() + limit_s if limit_s else None
        capture = self._children["capture"]
        while not self._interrupts and (until_s is None or time.monotonic() < until_s):
            self._look(_POLL_S)
            for child in self._children.values():
                report = self._hear(child)
                if report and report.kind in ("mistake", "failed"):
                    self._screen.event(f"{child.role}: {report.text}")
                self._revive(child)
            if capture.process is not None and capture.process.exitcode == EXIT_OK:
                return
            if self._sink_is_closing():
                break
        self._stop(turn=0)

    def _sink_is_closing(self) -> bool:
        """Whether the sink ends by itself: its window was closed."""
        sink = self._collector.newest("sink")
        process = self._children["sink"].process
        same = sink is not None and process is not None and sink.pid == process.pid
        return bool(same and sink and sink.state in ("stopping", "stopped"))

    def _revive(self, child: _Child) -> None:
        """Starts a dead worker again, after a wait that grows with failures in a row."""
        now_s = time.monotonic()
        if child.restart_at_s is not None:
            if now_s >= child.restart_at_s:
                child.restarts += 1
                self._start(child)
            return
        if child.process is None:
            return
        if child.alive:
            if self._hangs(child, now_s):
                self._screen.event(f"{child.role} hangs: killed")
                child.process.kill()
            return
        if child.role == "capture" and child.process.exitcode == EXIT_OK:
            return
        run = self._config.run
        if now_s - child.started_s > run.restart_reset_s:
            child.failures_in_a_row = 0
        wait_s = run.restart_backoff_s[min(child.failures_in_a_row, len(run.restart_backoff_s) - 1)]
        child.failures_in_a_row += 1
        cause = _cause(child.process.exitcode)
        if child.failures_in_a_row == run.give_up_after:
            raise PipelineError(f"{child.role} {cause}, {run.give_up_after} times in a row: given up")
        child.restart_at_s = now_s + wait_s
        self._screen.event(f"{child.role} {cause}: starting it again in {wait_s:g} s")

    def _hangs(self, child: _Child, now_s: float) -> bool:
        """Whether a living worker has not become ready in time, or has fallen silent."""
        if not child.ready:
            return now_s - child.started_s > self._config.run.ready_timeout_s
        limit_s = self._config.run.hung_after_s
        figures = self._collector.newest(child.role)
        same = figures is not None and child.process is not None and figures.pid == child.process.pid
        return bool(limit_s and same and figures and now_ns() - figures.sent_ns > limit_s * 1e9)

    def _drain(self) -> None:
        """Waits until the sink has shown what is under way, as long as it makes progress."""
        capture = self._children["capture"].process
        ended = capture is not None and capture.exitcode == EXIT_OK
        # Only a capture worker that ended in order has told the others what is the last frame.
        patience_s = (
            self._config.run.drain_timeout_s if ended else min(_QUIET_S, self._config.run.drain_timeout_s)
        )
        rendered, progress_s = -1, time.monotonic()
        while self._children["sink"].alive and time.monotonic() - progress_s < patience_s:
            self._look(_POLL_S)
            figures, sink = self._collector.newest("capture"), self._collector.newest("sink")
            sent = {name for name, stats in figures.streams.items() if stats.captured} if figures else set()
            shown = sink.streams if sink else {}
            if all(stream_id in shown and shown[stream_id].state == "ended" for stream_id in sent):
                return
            now_rendered = sum(stats.rendered for stats in shown.values())
            if now_rendered != rendered:
                rendered, progress_s = now_rendered, time.monotonic()

    def _stop(self, turn: int) -> None:
        """Asks all workers of a turn first, then waits for them, then insists."""
        children = [child for role, child in self._children.items() if SYSTEM[role].stop_turn == turn]
        for child in children:
            child.restart_at_s = None
            if child.process is not None and child.alive:
                child.process.terminate()
        deadline_s = time.monotonic() + self._config.run.drain_timeout_s + _KILL_AFTER_S
        while any(child.alive for child in children) and time.monotonic() < deadline_s:
            self._look(_POLL_S)
        for child in children:
            if child.process is not None and child.alive:
                self._screen.event(f"{child.role} did not stop: killed")
                child.process.kill()

    def _kill(self) -> None:
        for child in self._children.values():
            if child.process is not None:
                child.process.kill()
                child.process.join()
            if child.output is not None:
                child.output.join(timeout=1.0)


def _cause(exit_code: int | None) -> str:
    """Why a worker ended, in words."""
    if exit_code is not None and exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"died with exit code {exit_code}"
