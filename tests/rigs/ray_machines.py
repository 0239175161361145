"""A Ray cluster of virtual machines on a network where Ray's traffic can be cut separately. Needs root."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.rigs.cut_link import CutNetwork, Machine
from tests.support import need_command
from tests.workers.program import PROGRAM

RAY_PORTS = range(20_000, 21_000)
"""All ports of Ray; they are below the ports that the system assigns to workers of a fleet."""
_GCS = RAY_PORTS[0]
_OPTIONS = ("node-manager-port", "object-manager-port", "runtime-env-agent-port", "metrics-export-port")
_OF_AGENT = ("dashboard-agent-grpc-port", "dashboard-agent-listen-port")
_STORE_BYTES = 80 * 2**20
_UNTIL_S = 60.0


@dataclass
class Running:
    """A program that runs on a machine.

    Attributes:
        process: Its process.
        log: File with its output.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        """Waits until the program has ended successfully; returns its output."""
        code, printed = self.process.wait(2 * _UNTIL_S), self.log.read_text()
        assert code == 0, printed
        return printed


class RayMachines:
    """A Ray cluster, as a context manager; the first machine is the head node.

    The head has the label ``part=head``, the others ``part=inference``.

    Args:
        names: Names of the machines.

    Attributes:
        network: The network between the machines.
        folder: Folder for all files, with a path short enough for sockets; agents use its subfolder ``NAME``.
    """

    def __init__(self, *names: str) -> None:
        self.network = CutNetwork(*names)
        self.folder = Path(tempfile.mkdtemp(prefix="kvq-rig-"))
        self._names, self._numbers = names, count()
        self._started: list[subprocess.Popen[bytes]] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            need_command("ray", "ray (pip install '.[fleet]')")
            self._stack.enter_context(self.network)
            self._stack.callback(self._kill_all)
            head, *others = self._names
            self._start_ray(head).output()  # wait for the head: the others soon give up connecting
            for starting in [self._start_ray(name) for name in others]:
                starting.output()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def machine(self, name: str) -> Machine:
        """The machine with this name."""
        return self.network.machines[self._names.index(name)]

    def fleet(self, name: str, *arguments: str) -> Running:
        """Starts ``run_stream.py fleet`` on a machine."""
        address = f"{self.network.machines[0].address}:{_GCS}"
        program = [sys.executable, str(PROGRAM), "fleet", *arguments, "--address", address]
        return self._on(name, program)

    def status(self, fleet: str) -> dict[str, Any]:
        """See ``Coordinator.status``."""
        told = self.fleet(self._names[0], "status", "--fleet", fleet, "--json").output()
        status: dict[str, Any] = json.loads(told[told.index("{") :])
        return status

    def agents(self, name: str) -> list[Path]:
        """Folders of the agents on a machine; ``control`` in each is their worker's socket."""
        return sorted((self.folder / name).glob("kvq-agent-*"))

    def _start_ray(self, name: str) -> Running:
        machine, is_head = self.machine(name), name == self._names[0]
        (self.folder / name).mkdir()
        ports = dict(zip((*_OPTIONS, *_OF_AGENT), RAY_PORTS[1:], strict=False))
        ports |= {"min-worker-port": RAY_PORTS[100], "max-worker-port": RAY_PORTS[-1]}
        if is_head:
            where = ["--head", f"--port={_GCS}", "--include-dashboard=false", "--disable-usage-stats"]
        else:
            where = [f"--address={self.network.machines[0].address}:{_GCS}"]
        options = [
            f"--node-ip-address={machine.address}",
            f"--num-cpus={2 if is_head else 1}",
            f"--labels=part={'head' if is_head else 'inference'}",
            f"--object-store-memory={_STORE_BYTES}",
            f"--temp-dir={self.folder / f'ray-{name}'}",
            *(f"--{option}={port}" for option, port in ports.items()),
        ]
        return self._on(name, ["ray", "start", *where, *options])

    def _on(self, name: str, program: Sequence[str]) -> Running:
        log = self.folder / f"{next(self._numbers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                self.machine(name).command(*program),
                cwd=self.folder,
                env={**os.environ, "TMPDIR": str(self.folder / name), "RAY_ADDRESS": ""},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return Running(process, log)

    def _kill_all(self) -> None:
        """Kills all processes on the machines, including Ray's."""
        until = time.monotonic() + _UNTIL_S
        while (left := self.processes()) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        assert not left, left
        for process in self._started:
            process.wait()

    def processes(self) -> dict[int, str]:
        """Names of the processes that run on the machines, by process id."""
        found = dict[int, str]()
        for machine in self.network.machines:
            command = ["ip", "netns", "pids", machine.namespace]
            for pid in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split():
                with contextlib.suppress(OSError):
                    if b"\nState:\tZ" not in Path("/proc", pid, "status").read_bytes():
                        found[int(pid)] = Path("/proc", pid, "comm").read_text().strip()
        return found
