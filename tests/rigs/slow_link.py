"""A slow link: a TCP relay in a separate process, with an adjustable rate in one direction."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_CHUNK = 4096
_BUFFER_BYTES = 32 * 1024


class SlowLink:
    """Relays connections to a port of this machine; only data from that port is limited to a rate.

    Attributes:
        port: Port of the relay.
    """

    def __init__(self, port: int, target_port: int, kb_per_s: float) -> None:
        """Stores the ports and the initial rate."""
        self.port = port
        self._arguments = [str(port), str(target_port), str(kb_per_s)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def set_rate(self, kb_per_s: float) -> None:
        """Changes the rate immediately."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kb_per_s}\n")
        self._process.stdin.flush()


class _Rate:
    """Limits the rate of all connections together, as on a shared cable."""

    def __init__(self, kb_per_s: float) -> None:
        self.kb_per_s = kb_per_s
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / (1000 * self.kb_per_s)
        await asyncio.sleep(max(0.0, self._free_at - now))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: _Rate | None) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK if rate else 65536):
            if rate:
                await rate.take(len(data))
            writer.write(data)
            await writer.drain()
    writer.close()


async def _relay(port: int, target_port: int, rate: _Rate) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with socket.socket() as link:  # small buffers: otherwise the relay would buffer seconds of data
                link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
                link.setblocking(False)
                await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", target_port))
                back, there = await asyncio.open_connection(sock=link.dup(), limit=_BUFFER_BYTES)
        except ConnectionError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, there, None), _pump(back, writer, rate))

    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
    await asyncio.start_server(serve, sock=listener, limit=_BUFFER_BYTES)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        rate.kb_per_s = float(line)


if __name__ == "__main__":
    asyncio.run(_relay(int(sys.argv[1]), int(sys.argv[2]), _Rate(float(sys.argv[3]))))
