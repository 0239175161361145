"""Two machines and a cable that can be cut: two network namespaces, packets carried by a process of its own.

A cut cable drops packets and tells nobody, unlike a connection that is closed. Needs root.
"""

import contextlib
import ctypes
import fcntl
import os
import select
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


@dataclass(frozen=True)
class Machine:
    """One end of the cable.

    Attributes:
        namespace: Name of its network.
        address: Its IPv4 address there.
    """

    namespace: str
    address: str

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs a program on this machine."""
        return ["ip", "netns", "exec", self.namespace, *arguments]

    def enter(self) -> None:
        """Moves the calling thread, and threads that it starts from now on, to this machine."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/run/netns", self.namespace).open() as network:
            if libc.setns(network.fileno(), _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), f"can't enter {self.namespace}")


class CutLink:
    """Two machines that see nobody but each other; a context manager.

    Attributes:
        near: One of them.
        far: The other one.
    """

    def __init__(self) -> None:
        """Chooses names."""
        name = f"kvq-{os.getpid()}-{next(_NUMBERS)}"
        self.near, self.far = Machine(f"{name}-near", "10.77.0.1"), Machine(f"{name}-far", "10.77.0.2")

    def cut(self) -> None:
        """Drops all packets from now on."""
        self._order("cut")

    def mend(self) -> None:
        """Carries packets again."""
        self._order("mend")

    def __enter__(self) -> Self:
        need_command("ip", "iproute2")
        if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
            without("only root can make network namespaces, and only with /dev/net/tun")
        try:
            for machine in (self.near, self.far):
                _ip("netns", "add", machine.namespace)
                _ip("-n", machine.namespace, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            self._remove()
            without(f"this machine makes no network namespaces: {error.stderr.decode().strip()}")
        ends = (f"{machine.namespace}={machine.address}" for machine in (self.near, self.far))
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
        for machine in (self.near, self.far):
            subprocess.run(
                ["ip", "netns", "delete", machine.namespace], stderr=subprocess.DEVNULL, check=False
            )


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=True)


def _plug_in(number: int, namespace: str, address: str) -> int:
    """Gives a namespace an interface; packets that it sends are read from the descriptor, and back."""
    name = f"kvq{os.getpid()}-{number}"
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, _SET_INTERFACE, struct.pack("16sH", name.encode(), _TUN_WITHOUT_HEADER))
    _ip("link", "set", name, "netns", namespace)
    _ip("-n", namespace, "address", "add", f"{address}/24", "dev", name)
    _ip("-n", namespace, "link", "set", name, "up")
    return descriptor


def _carry(*ends: str) -> None:
    """Carries packets between two interfaces, and obeys orders on standard input, until that is closed."""
    first, second = (_plug_in(number, *end.split("=")) for number, end in enumerate(ends))
    other, is_cut = {first: second, second: first}, False
    print("done", flush=True)
    while True:
        for ready in select.select([sys.stdin, first, second], [], [])[0]:
            if ready is sys.stdin:
                if not (order := sys.stdin.readline()):
                    return
                is_cut = order == "cut\n"
                print("done", flush=True)
                continue
            packet = os.read(ready, _MOST_BYTES)
            if not is_cut:
                os.write(other[ready], packet)


if __name__ == "__main__":
    _carry(*sys.argv[1:])
