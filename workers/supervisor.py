"""Runs a whole pipeline on one machine: starts, watches, restarts and stops its workers."""

import time
from functools import partial
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from pipeline.base.clock import now_ns
from pipeline.base.config import Config
from pipeline.base.errors import UserError
from pipeline.base.role_names import Role
from workers import exit_codes
from workers.child import Child
from workers.collector import Collector
from workers.down_worker import DownWorker
from workers.roles import SYSTEM
from workers.screen import Screen
from workers.sharing import config_of, own_streams, worker_names
from workers.signals import handled_by

_POLL_S = 0.05
_KILL_AFTER_S = 3.0
"""Added to the time for finishing frames in flight; a worker still running after that has hung."""
_START_STOP_S = 1.0
"""An inference worker that is still starting has no frames to finish, so it is killed after this time."""
_QUIET_S = 2.0
"""After this long without progress, no more frames are expected to arrive at the sink."""


class StartError(UserError):
    """The pipeline did not start because of bad input; the message is one line."""


class PipelineError(Exception):
    """The pipeline did not start because a worker failed; the message is one line."""


class Supervisor:
    """Starts all workers and keeps them running until the streams end or the run is stopped.

    Args:
        config: The configuration, with endpoints already placed in the run's folder.
        screen: Shows events and statistics; the run stops when the screen is lost.
        title: Shown above the statistics.
        stdout: Standard output, if it is reserved for an output of the sink.

    Attributes:
        given_up: The error if the run ended early because a worker died too often; otherwise None.
    """

    def __init__(self, config: Config, screen: Screen, title: str, stdout: Connection | None = None) -> None:
        self._config = config
        self._screen = screen
        self._title = title
        self._stdout = stdout
        self.given_up: str | None = None
        self._collector = Collector(config)
        self._output: list[tuple[str, str]] = []
        self._events: list[str] = []
        self._signals = 0
        self._told: tuple[int | None, list[DownWorker]] = None, []
        self._children = [
            Child(name, role, partial(self._take_line, name))
            for role in SYSTEM
            for name in worker_names(role, config)
        ]

    def run(self) -> dict[str, Any]:
        """Runs the pipeline to its end, with a graceful shutdown even if a worker died too often.

        Returns:
            The report.

        Raises:
            StartError: The input is not valid.
            PipelineError: A worker failed at startup for another reason.
        """
        with handled_by(self._on_signal):
            try:
                for child in self._children:
                    self._start(child)
                self._wait_until_ready()
                self._watch()
                self._shut_down()
            finally:
                for child in self._children:
                    child.kill()
                for child in self._children:
                    child.join()
                self._refresh(0.1)
                self._screen.close()
                self._collector.close()
        return self._collector.report(self._restarts, final=True)

    @property
    def _restarts(self) -> dict[str, int]:
        return {child.name: child.restarts for child in self._children}

    @property
    def _stopping(self) -> bool:
        """Whether the run has been asked to stop."""
        return self._signals > 0 or self._screen.lost

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self._events.append("stopping: finishing frames in flight; press Ctrl-C again to quit now")
        else:
            for child in self._children:
                child.kill()
            raise KeyboardInterrupt

    def _take_line(self, name: str, line: str) -> None:
        self._output.append((name, line))

    def _of(self, role: Role) -> Child:
        """The worker of a role that has only one."""
        return next(child for child in self._children if child.role == role)

    def _start(self, child: Child) -> None:
        options: dict[str, Any] = {
            "restarts": child.restarts,
            "former": self._collector.former(child.name),
        }
        if child.role == "capture":  # continues the epoch count of the dead process
            streams = self._collector.report(self._restarts)["streams"]
            options["first_epochs"] = {stream_id: stream["epochs"] for stream_id, stream in streams.items()}
        if child.role == "sink":
            options["stdout"] = self._stdout
        child.start(config_of(child.name, child.role, self._config), options)

    def _refresh(self, timeout_s: float) -> None:
        """Receives statistics and output and shows them."""
        events = self._collector.poll(timeout_s)
        output, self._output = self._output, []
        for name, line in output:
            is_starting = name in {child.name for child in self._children if child.is_starting}
            is_traceback = line.removeprefix(f"{name}: ").startswith((" ", "Traceback"))
            if is_starting and not is_traceback:
                self._screen.event(line)  # what it prepares: a line above the live table would scroll away
            else:
                self._screen.print(line)
        own, self._events = self._events, []
        for text in own + events:
            self._screen.event(text)
        processes: dict[str, int | None] = {child.name: child.pid for child in self._children}
        used = {child.name: usage for child in self._children if (usage := child.usage_at_start())}
        self._screen.update(self._collector.view(self._title, self._restarts, processes, used))

    def _wait_until_ready(self) -> None:
        timeout_s = self._config.run.ready_timeout_s
        deadline_s = time.monotonic() + timeout_s
        while not all(child.ready and not child.down for child in self._children):
            self._refresh(_POLL_S)
            starting = [child for child in self._children if child.is_starting and not child.restarts]
            if self._stopping:
                if starting:
                    names = ", ".join(child.name for child in starting)
                    self._events.append(f"stopped before all workers were ready (still starting: {names})")
                return
            for child in self._children:
                if child in starting:
                    self._check_start(child)
                else:
                    self._look_after(child)
            self._tell_sink()
            if self.given_up or self._sink_is_closing():
                return
            late = ", ".join(child.name for child in starting if not child.ready)
            if late and time.monotonic() > deadline_s:
                raise PipelineError(
                    f"not ready after {timeout_s:g} s: {late}; on a slow machine raise run.ready_timeout_s"
                )
        pids = ", ".join(f"{child.name} {child.pid}" for child in self._children)
        self._screen.event(f"all workers are ready (pids: {pids})")

    def _check_start(self, child: Child) -> None:
        """Raises an error if a worker fails before it becomes ready for the first time."""
        alive = child.alive  # read before poll: a report sent just before death must not be missed
        report = child.poll()
        if report and report.kind == "user_error":
            raise StartError(report.text)
        if report and report.kind == "failed":
            raise PipelineError(f"{child.name} failed at startup: {report.text}")
        if not alive and not child.ready and report is None:
            raise PipelineError(f"{child.name} died at startup (exit code {child.exit_code})")

    def _look_after(self, child: Child) -> None:
        """Shows the report of a worker that was ready before, and restarts it if it is dead."""
        report = child.poll()
        if report and report.kind == "ready":
            self._screen.event(f"{child.name} is ready again (pid {child.pid})")
        elif report:
            self._screen.event(f"{child.name}: {report.text}")
        self._revive(child)

    def _watch(self) -> None:
        """Restarts dead workers until capture ends, the time is up, or the run is stopped or given up."""
        limit_s = self._config.run.seconds
        until_s = time.monotonic() + limit_s if limit_s else None
        while not (self._stopping or self.given_up) and (until_s is None or time.monotonic() < until_s):
            self._refresh(_POLL_S)
            for child in self._children:
                self._look_after(child)
            self._tell_sink()
            if self.given_up or self._capture_has_ended or self._sink_is_closing():
                return

    def _tell_sink(self) -> None:
        """Sends the current sink the list of workers that are down whenever it changes."""
        sink = self._of("sink")
        down = [child.down for child in self._children if child.down and child is not sink]
        if (sink.pid, down) != self._told:
            sink.tell(down)
            self._told = sink.pid, down

    @property
    def _capture_has_ended(self) -> bool:
        return self._of("capture").exit_code == exit_codes.OK

    def _sink_is_closing(self) -> bool:
        """Whether the sink is ending by itself: its window or its standard output was closed."""
        sink = self._collector.newest("sink")
        same = sink is not None and sink.pid == self._of("sink").pid
        return bool(same and sink and sink.state in ("stopping", "stopped"))

    def _revive(self, child: Child) -> None:
        """Restarts a dead worker with a back-off that grows with consecutive failures."""
        if child.restart_at_s is not None:
            if time.monotonic() >= child.restart_at_s:
                child.restarts += 1
                self._start(child)
            return
        if child.alive:
            if self._hangs(child):
                self._screen.event(f"{child.name} hung and was killed")
                child.kill()
            return
        if child.role == "capture" and self._capture_has_ended:
            return
        run = self._config.run
        wait_s = child.wait_after_death(run)
        cause = child.cause_of_death
        if child.failures_in_a_row == run.give_up_after:
            self.given_up = f"{child.name} {cause} {run.give_up_after} times in a row: giving up"
            return
        child.restart_at_s = time.monotonic() + wait_s
        since_ns = child.down.since_ns if child.down else now_ns()
        of_child = config_of(child.name, child.role, self._config)
        streams = own_streams(of_child) if child.role == "inference" else None
        child.down = DownWorker(child.name, child.role, since_ns, now_ns() + int(wait_s * 1e9), streams)
        self._screen.event(f"{child.name} {cause}: restarting in {wait_s:g} s")

    def _hangs(self, child: Child) -> bool:
        """Whether a live worker did not become ready in time, or no longer sends statistics."""
        if not child.ready:
            return child.age_s > self._config.run.ready_timeout_s
        limit_s = self._config.run.hung_after_s
        stats = self._collector.newest(child.name)
        same = stats is not None and stats.pid == child.pid
        return bool(limit_s and same and stats and now_ns() - stats.sent_ns > limit_s * 1e9)

    # -- the end -----------------------------------------------------------------------------------

    def _shut_down(self) -> None:
        """Stops capture, lets the others finish frames in flight, stops them, then kills what is left.

        All steps share one deadline, so that a hung worker does not delay the shutdown three times.
        """
        ended = self._capture_has_ended
        deadline_s = time.monotonic() + self._config.run.drain_timeout_s
        for child in self._children:
            child.resume()
        self._stop(turn=0, deadline_s=deadline_s)
        # While there is progress, no frame of a stream that ended by itself is dropped.
        self._drain(None if ended else deadline_s)
        left_s = self._config.run.drain_timeout_s if ended else _QUIET_S
        self._stop(turn=1, deadline_s=max(deadline_s, time.monotonic() + left_s))

    def _drain(self, deadline_s: float | None) -> None:
        """Waits while the sink makes progress, until it has shown all frames in flight."""
        # Only a capture worker that ended normally has sent the end of its streams.
        longest_s = self._config.run.drain_timeout_s
        patience_s = longest_s if self._capture_has_ended else min(_QUIET_S, longest_s)
        rendered, progress_s = -1, time.monotonic()
        while self._of("sink").alive and time.monotonic() - progress_s < patience_s:
            if deadline_s is not None and time.monotonic() > deadline_s:
                return
            self._refresh(_POLL_S)
            capture, sink = self._collector.newest("capture"), self._collector.newest("sink")
            sent = {name for name, stats in capture.streams.items() if stats.captured} if capture else set()
            shown = sink.streams if sink else {}
            if all(stream_id in shown and shown[stream_id].state == "ended" for stream_id in sent):
                return
            now_rendered = sum(stats.rendered for stats in shown.values())
            if now_rendered != rendered:
                rendered, progress_s = now_rendered, time.monotonic()

    def _stop(self, turn: int, deadline_s: float) -> None:
        """Asks all workers of a turn to stop, waits for them, then kills those that are left."""
        children = [child for child in self._children if SYSTEM[child.role].stop_turn == turn]
        for child in children:
            child.ask_to_stop()
        asked_s = time.monotonic()
        while any(child.alive for child in children) and time.monotonic() < deadline_s + _KILL_AFTER_S:
            self._refresh(_POLL_S)
            for child in children:
                child.poll()
                hopeless = child.role == "inference" and child.is_starting
                if hopeless and time.monotonic() - asked_s > _START_STOP_S:
                    child.kill()
        for child in children:
            if child.alive:
                self._screen.event(f"{child.name} did not stop and was killed")
                child.kill()
