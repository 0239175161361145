"""Runs a worker as a process: spawned by the supervisor, or alone in a terminal."""

import contextlib
import multiprocessing.util
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cv2
import msgspec

from pipeline.account.stats import WorkerStats
from pipeline.base.config import Config
from pipeline.base.errors import UserError
from pipeline.base.redact import redact
from pipeline.base.role_names import Role
from workers import exit_codes
from workers.base import Worker
from workers.down_worker import DownWorker
from workers.output import print_line
from workers.roles import load_class
from workers.signals import stop_on_signals

ReportKind: TypeAlias = Literal["ready", "user_error", "failed"]


class Report(msgspec.Struct):
    """What a spawned worker reports to its supervisor.

    Attributes:
        kind: ``ready``, ``user_error`` (bad input) or ``failed``.
        text: Human-readable.
    """

    kind: ReportKind
    text: str = ""


def let_waiting_threads_sleep() -> None:
    """Makes torch's threads sleep instead of spin while they wait; call it before torch is imported.

    Spinning threads take cores from other workers and runtimes: under load a step takes several times longer.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # well under a millisecond


def make_worker(role: Role, config: Config, name: str, **options: Any) -> Worker:
    """Imports and creates the worker of a role; each process imports only what its role needs."""
    let_waiting_threads_sleep()
    # Images are small: a second thread costs more than it gains and takes a core from the model.
    cv2.setNumThreads(1)
    worker: Worker = load_class(role)(config, name, **options)
    return worker


def name_process(name: str) -> None:
    """Names this process ``kvq-NAME`` in ``ps`` and ``top``, which show at most 15 characters."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(f"kvq-{name}"[:15])


def run_spawned(
    role: Role, config: Config, name: str, options: dict[str, Any], control: Connection, output: Connection
) -> None:
    """Body of a spawned process: runs until SIGTERM or the death of the supervisor.

    Args:
        role: The worker's role.
        config: The whole configuration.
        name: The worker's name.
        options: Further arguments of the worker's constructor.
        control: Connection to the supervisor: sends one ``Report`` and receives lists of other workers that
            are down; end of file means that the supervisor died.
        output: Replaces standard output and error, so that output does not disturb the live terminal.
    """
    os.dup2(output.fileno(), sys.stdout.fileno())
    os.dup2(output.fileno(), sys.stderr.fileno())
    output.close()
    for number in (signal.SIGINT, signal.SIGHUP):  # the terminal sends them to the whole process group
        signal.signal(number, signal.SIG_IGN)
    name_process(name)
    stop = threading.Event()
    down: list[DownWorker] = []
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def watch_supervisor() -> None:
        try:
            while True:
                down[:] = msgspec.json.decode(control.recv_bytes(), type=list[DownWorker])
        except (EOFError, OSError):
            stop.set()

    def report(kind: ReportKind, text: str = "") -> None:
        try:
            control.send_bytes(msgspec.json.encode(Report(kind, redact(text))))
        except OSError:
            stop.set()

    threading.Thread(target=watch_supervisor, name="supervisor-watch", daemon=True).start()
    code = exit_codes.OK
    try:
        make_worker(role, config, name, down=down, **options).run(stop, lambda stats: report("ready"))
    except UserError as error:
        report("user_error", str(error))
        code = exit_codes.USER_ERROR
    except Exception as error:
        report("failed", f"{type(error).__name__}: {error}")
        sys.excepthook(*sys.exc_info())  # shown by the supervisor as this worker's output
        code = exit_codes.FAILED
    # os._exit skips finalizers, which release semaphores of libraries, such as tqdm's lock
    multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of libraries must not keep a finished worker alive


def run_alone(role: Role, config: Config, name: str, stdout: Connection | None = None) -> int:
    """Runs a worker in this process; the first Ctrl-C stops it gracefully, the second immediately.

    Args:
        role: The worker's role.
        config: The whole configuration.
        name: The worker's name.
        stdout: Standard output, if it is reserved for predictions or events.

    Returns:
        The exit code.

    Raises:
        WorkerError: The worker can't run as configured.
    """
    stop = threading.Event()

    def print_ready(stats: WorkerStats) -> None:
        if not print_line(f"{stats.worker}: ready (pid {stats.pid})"):
            stop.set()

    name_process(name)
    with stop_on_signals(stop):
        worker = make_worker(role, config, name, alone=True, stdout=stdout)
        worker.run(stop, print_ready)
    return exit_codes.OUTPUT_LOST if worker.stats.details.get("lost") else exit_codes.OK
