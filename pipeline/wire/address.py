"""Endpoints such as ``ipc://path`` and ``tcp://host:port``, validated before libzmq uses them."""

import contextlib
import fcntl
import ipaddress
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.base.errors import TransportError

_MOST_PATH_BYTES = 107
_LOCK_TIMEOUT_S = 3.0  # any user may lock a shared folder indefinitely
_LOCK_RETRY_S = 0.02
_HOST = re.compile(r"[A-Za-z0-9_.:%*-]+")
_EVERYWHERE = ("*", "0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Address:
    """A validated endpoint.

    Attributes:
        text: The endpoint as configured.
        kind: ``ipc`` or ``tcp``.
        place: The path, or the host without brackets.
        port: Port of a tcp endpoint, 0 to let the system choose one; 0 for ipc.
    """

    text: str
    kind: Literal["ipc", "tcp"]
    place: str
    port: int = 0

    @property
    def named(self) -> bool:
        """Whether the host name must be resolved."""
        return self.kind == "tcp" and self.place != "localhost" and _number(self.place) is None

    @property
    def local(self) -> bool:
        """Whether it can be reached only from this machine."""
        if self.kind == "ipc" or self.place in ("localhost", "lo"):
            return True
        number = _number(self.place)
        if isinstance(number, ipaddress.IPv6Address) and number.ipv4_mapped:
            number = number.ipv4_mapped
        return number is not None and number.is_loopback


def parse(text: str) -> Address:
    """Parses an endpoint.

    Raises:
        TransportError: It is neither ``ipc://path`` nor ``tcp://host:port``, or its path is too long.
    """
    kind, separator, rest = text.partition("://")
    if kind == "ipc" and separator and rest and rest[0] not in "*@":
        length = len(os.fsencode(rest))
        if length > _MOST_PATH_BYTES:
            raise TransportError(
                f"{text}: the path has {length} bytes, but the system allows {_MOST_PATH_BYTES}: "
                "use a shorter path"
            )
        return Address(text, "ipc", rest)
    host, _, port = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if kind != "tcp" or not _is_host(host) or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise TransportError(f"{text}: not an endpoint: write ipc://path or tcp://host:port")
    return Address(text, "tcp", host, int(port))


def to_bind(address: Address) -> str:
    """The endpoint in the form that libzmq can bind: with an interface or an IP address, not a host name.

    Raises:
        TransportError: The host is not known, or the folder of the path is missing or not writable.
    """
    if address.kind == "ipc":
        folder = Path(address.place).parent
        if not folder.is_dir():
            raise TransportError(f"{address.text}: there is no folder {folder}: create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise TransportError(f"{address.text}: can't write in {folder}: choose another folder")
        return address.text
    host = address.place
    if host not in _EVERYWHERE and host not in (name for _, name in socket.if_nameindex()):
        host = _resolve(address)[0]
    return _tcp(host, address.port)


def check_connect(address: Address) -> None:
    """Checks that an address can be connected to.

    Raises:
        TransportError: The address has no specific host or no port.
    """
    if address.kind == "tcp" and (address.place in _EVERYWHERE or address.port == 0):
        raise TransportError(f"{address.text}: can't connect to this endpoint: give a host and a port")


def to_connect(address: Address) -> tuple[str, bool]:
    """The endpoint in the form that libzmq can connect to, and whether it needs IPv6.

    Raises:
        TransportError: The host name can't be resolved (yet).
    """
    if address.kind == "ipc":
        return address.text, False
    numbers = _resolve(address)
    # libzmq tries only one address; many hosts have an IPv6 address but listen on IPv4.
    ipv6 = all(":" in number for number in numbers)
    named = address.place != "localhost" and not ipv6
    return _tcp(address.place if named else numbers[0], address.port), ipv6


@contextmanager
def claim(address: Address) -> Iterator[None]:
    """Protects the binding of an ipc path: libzmq would silently take it over from another program.

    The folder is locked during the check and the bind, so that two programs can't both succeed.

    Raises:
        TransportError: Another program listens there or keeps the folder locked, or the path is not a socket.
    """
    if address.kind != "ipc":
        yield
        return
    path = Path(address.place)
    with _locked(address):
        if path.exists() and not path.is_socket():
            raise TransportError(f"{address.text}: {path} is not a socket: remove it or use another path")
        if _answers(path):
            raise TransportError(
                f"{address.text}: already used by another program: stop it or choose another path"
            )
        yield


def file_number(address: Address) -> int:
    """Inode number of the socket file of an ipc address, to detect its replacement; 0 for tcp."""
    return Path(address.place).stat().st_ino if address.kind == "ipc" else 0


def release(address: Address, number: int) -> None:
    """Removes the socket file of an ipc address, unless it is gone or another program has replaced it.

    If another program keeps the folder locked, the file stays until the next program binds there.
    """
    if address.kind != "ipc" or not number:
        return
    path = Path(address.place)
    with contextlib.suppress(OSError, TransportError), _locked(address):
        if path.stat().st_ino == number:
            path.unlink()


@contextmanager
def _locked(address: Address) -> Iterator[None]:
    """Locks the folder itself: a lock file would be left behind, or deleted while others wait for it."""
    folder = Path(address.place).parent
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    try:
        while not _lock(descriptor):
            if time.monotonic() > deadline:
                raise TransportError(
                    f"{address.text}: another program keeps {folder} locked: choose a folder of your own"
                )
            time.sleep(_LOCK_RETRY_S)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # its connection queue is full: busy or stopped, but alive
        except OSError:
            return False
        return True


def _is_host(text: str) -> bool:
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return _HOST.fullmatch(text) is not None


def _resolve(address: Address) -> list[str]:
    """IP addresses of a host, IPv4 first."""
    try:
        found = socket.getaddrinfo(address.place, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TransportError(
            f"{address.text}: host {address.place!r} is not known: check its name or use its IP address"
        ) from None
    numbers = [str(where[0]) for *_, where in found]
    return sorted(dict.fromkeys(numbers), key=lambda number: ":" in number)


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _tcp(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
