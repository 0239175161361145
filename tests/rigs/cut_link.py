"""Virtual machines and a network that can be cut: network namespaces, and a process that relays packets.

A cut network drops packets silently, unlike a closed connection. Needs root.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import need_command, without

_NUMBERS = count()
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_SET_INTERFACE = 0x400454CA  # TUNSETIFF
_TUN_WITHOUT_HEADER = 0x1001  # IFF_TUN | IFF_NO_PI
_MOST_BYTES = 65535
_WITH_PORTS = (6, 17)  # TCP, UDP


@dataclass(frozen=True)
class Machine:
    """A virtual machine on the network.

    Attributes:
        namespace: Name of its network namespace.
        address: Its IPv4 address.
    """

    namespace: str
    address: str

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs a program on this machine."""
        return ["ip", "netns", "exec", self.namespace, *arguments]

    def enter(self) -> None:
        """Moves the calling thread, and threads that it starts later, to this machine."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/run/netns", self.namespace).open() as network:
            if libc.setns(network.fileno(), _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), f"can't enter {self.namespace}")


class CutNetwork:
    """An isolated network of virtual machines, as a context manager.

    Args:
        names: Names of the machines.

    Attributes:
        machines: The machines, in the order of ``names``; their addresses are 10.77.0.1 and so on.
    """

    def __init__(self, *names: str) -> None:
        prefix = f"kvq-{os.getpid()}-{next(_NUMBERS)}"
        self.machines = tuple(
            Machine(f"{prefix}-{name}", f"10.77.0.{number}") for number, name in enumerate(names, 1)
        )

    def cut(self) -> None:
        """Drops all packets from now on."""
        self._order("cut")

    def cut_ports(self, machine: Machine, ports: range) -> None:
        """Drops packets from and to a machine if one of their two ports is in ``ports``, from now on."""
        self._order(f"cut {machine.address} {ports.start} {ports.stop}")

    def mend(self) -> None:
        """Relays all packets again."""
        self._order("mend")

    def __enter__(self) -> Self:
        need_command("ip", "iproute2")
        if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
            without("creating network namespaces needs root and /dev/net/tun")
        try:
            for machine in self.machines:
                _ip("netns", "add", machine.namespace)
                _ip("-n", machine.namespace, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            self._remove()
            without(f"this machine can't create network namespaces: {error.stderr.decode().strip()}")
        ends = (f"{machine.namespace}={machine.address}" for machine in self.machines)
        self._carrier = subprocess.Popen(
            [sys.executable, "-m", "tests.rigs.cut_link", *ends],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._wait_for_answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._carrier.kill()
        self._carrier.wait()
        for stream in (self._carrier.stdin, self._carrier.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._remove()

    def _order(self, order: str) -> None:
        assert self._carrier.stdin is not None
        self._carrier.stdin.write(f"{order}\n")
        self._carrier.stdin.flush()
        self._wait_for_answer()

    def _wait_for_answer(self) -> None:
        assert self._carrier.stdout is not None
        assert self._carrier.stdout.readline() == "done\n"

    def _remove(self) -> None:
        for machine in self.machines:
            subprocess.run(
                ["ip", "netns", "delete", machine.namespace], stderr=subprocess.DEVNULL, check=False
            )


class CutLink(CutNetwork):
    """A network of two machines.

    Attributes:
        near: The first machine.
        far: The second machine.
    """

    def __init__(self) -> None:
        """Names the machines ``near`` and ``far``."""
        super().__init__("near", "far")
        self.near, self.far = self.machines


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=True)


def _plug_in(number: int, namespace: str, address: str) -> int:
    """Adds an interface to a namespace; returns the descriptor that reads and writes its packets."""
    name = f"kvq{os.getpid()}-{number}"
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, _SET_INTERFACE, struct.pack("16sH", name.encode(), _TUN_WITHOUT_HEADER))
    _ip("link", "set", name, "netns", namespace)
    _ip("-n", namespace, "address", "add", f"{address}/24", "dev", name)
    _ip("-n", namespace, "link", "set", name, "up")
    return descriptor


def _carry(*ends: str) -> None:
    """Relays packets between interfaces and follows commands from standard input until that is closed."""
    descriptors = {}
    for number, end in enumerate(ends):
        namespace, address = end.split("=")
        descriptors[socket.inet_aton(address)] = _plug_in(number, namespace, address)
    order = ["mend"]
    print("done", flush=True)
    while True:
        for ready in select.select([sys.stdin, *descriptors.values()], [], [])[0]:
            if ready is sys.stdin:
                if not (line := sys.stdin.readline()):
                    return
                order = line.split()
                print("done", flush=True)
                continue
            packet = os.read(ready, _MOST_BYTES)
            to = descriptors.get(packet[16:20])
            if to is not None and not _is_dropped(packet, *order):
                os.write(to, packet)


def _is_dropped(packet: bytes, what: str, address: str = "", low: str = "", high: str = "") -> bool:
    """Whether an IPv4 packet is dropped by the current cut."""
    if what == "mend" or not address:
        return what == "cut"
    if socket.inet_aton(address) not in (packet[12:16], packet[16:20]) or packet[9] not in _WITH_PORTS:
        return False
    ports = struct.unpack_from("!HH", packet, (packet[0] & 15) * 4)
    return any(int(low) <= port < int(high) for port in ports)


if __name__ == "__main__":
    _carry(*sys.argv[1:])
