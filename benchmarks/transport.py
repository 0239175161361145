"""Frame transport between processes, compared with imagezmq and vidgear's NetGear.

Sender and receiver are separate processes. All transports run in alternation. In the first part of a turn the
sender runs at full speed (frames/s, CPU time of both ends); in the second it sends 30 frames per second
(latency, from before the send call to after the receive call). No frame is lost, except by transports that
drop frames for a slow receiver.
"""

import json
import multiprocessing
import os
import socket
import statistics
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.transport_ways import Send, Way, endpoint, missing, named, ways
from pipeline.base.frame import Image
from pipeline.base.scratch import scratch_folder
from pipeline.base.stage_lines import print_stage
from pipeline.video.demo import paint

_FPS = 30.0
_WARM_UP = 30
_PICTURES = 12
_DEADLINE_S = 60.0


@dataclass
class Samples:
    """Results of one transport: frames/s and CPU ms per frame of each turn, latency in ms of each frame."""

    fps: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class TransportResult:
    """Medians over the rounds; CPU time is per frame, for both ends together."""

    way: str
    group: str
    link: str
    width: int
    height: int
    frames_per_s: float
    cpu_ms_per_frame: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    frames_per_s_of_rounds: list[float]


def pictures(width: int, height: int) -> list[Image]:
    """Frames of the demo tour with sensor noise, ``(height, width, 3)`` each."""
    scene = cv2.resize(paint("autumn leaves", 1), (width, height)).astype(np.int16)
    sheet = np.random.default_rng(0).normal(0, 3, (height, width + _PICTURES, 3)).astype(np.int16)
    noise = [sheet[:, left : left + width] for left in range(_PICTURES)]
    return [np.clip(scene + layer, 1, 255).astype(np.uint8) for layer in noise]


def _send(connection: Connection, name: str, where: str, size: tuple[int, int], seconds: float) -> None:
    images = pictures(*size)
    end = np.zeros_like(images[0])
    with ExitStack() as stack:
        send = named(name).sender(stack, where)
        for number in range(_WARM_UP):
            send(images[number % _PICTURES])
            time.sleep(0.005)
        for period_s in (0.0, 1 / _FPS):
            _send_until_told(connection, send, end)
            times: list[int] = []
            busy, began = time.process_time(), time.monotonic()
            while time.monotonic() - began < seconds:
                times.append(time.monotonic_ns())
                send(images[len(times) % _PICTURES])
                if period_s:
                    time.sleep(max(0.0, began + len(times) * period_s - time.monotonic()))
            busy = time.process_time() - busy
            _send_until_told(connection, send, end)
            connection.send((busy, times))
        connection.recv()


def _send_until_told(connection: Connection, send: Send, end: Image) -> None:
    """Sends a black frame as a mark, repeatedly, because a transport that drops frames may drop it too."""
    while not connection.poll(0.02):
        send(end)
    connection.recv()


def _receive(connection: Connection, name: str, where: str) -> None:
    with ExitStack() as stack:
        receive = named(name).receiver(stack, where)
        connection.send("up")
        for _ in range(2):
            while not _is_black(receive()):
                pass
            connection.send("ready")
            while _is_black(receive()):
                pass
            busy = time.process_time()
            times = [time.monotonic_ns()]
            while not _is_black(receive()):
                times.append(time.monotonic_ns())
            connection.send((time.process_time() - busy, times))
        while True:
            receive()


def _is_black(image: Image) -> bool:
    return not image[:1, :8].any()


def _turn(way: Way, size: tuple[int, int], seconds: float, samples: Samples) -> None:
    """Runs one turn of a transport: both processes, both parts."""
    context = multiprocessing.get_context("spawn")
    with scratch_folder("kvq-bench-") as folder:
        where = endpoint(way, folder, _free_port())
        ends = [context.Pipe(), context.Pipe()]
        receiver = context.Process(target=_receive, args=(ends[0][1], way.name, where), daemon=True)
        sender = context.Process(target=_send, args=(ends[1][1], way.name, where, size, seconds), daemon=True)
        try:
            receiver.start()
            _answer(ends[0][0], way)
            sender.start()
            for part in range(2):
                _answer(ends[0][0], way)
                ends[1][0].send("go")
                taken_s, arrivals = _answer(ends[0][0], way)
                ends[1][0].send("stop")
                given_s, departures = _answer(ends[1][0], way)
                if part == 0:
                    samples.fps.append((len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) * 1e9)
                    samples.cpu_ms.append((taken_s + given_s) / len(arrivals) * 1e3)
                elif len(arrivals) == len(departures):  # with dropped frames the times can't be paired
                    pairs = zip(departures, arrivals, strict=True)
                    samples.latency_ms += [(there - here) / 1e6 for here, there in pairs]
        finally:
            for process in (sender, receiver):
                if process.pid:
                    process.kill()
                    process.join()


def _answer(connection: Connection, way: Way) -> tuple[float, list[int]]:
    if not connection.poll(_DEADLINE_S):
        raise ValueError(f"{way.name}: no data within {_DEADLINE_S:g} s")
    answer: tuple[float, list[int]] = connection.recv()
    return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(
    all_ways: list[Way], sizes: list[tuple[int, int]], rounds: int, seconds: float
) -> list[TransportResult]:
    """Measures transports in alternation.

    Args:
        all_ways: The transports.
        sizes: Width and height of the frames.
        rounds: Number of rounds, with one turn for each transport.
        seconds: Length of each of the two parts of a turn.

    Raises:
        ValueError: A package is missing; the message has the command to install it.
    """
    if absent := missing(all_ways):
        raise ValueError(f"bench transport needs the compared packages: pip install {' '.join(absent)}")
    results = []
    for size in sizes:
        samples = {way.name: Samples() for way in all_ways}
        for number, way in product(range(1, rounds + 1), all_ways):
            print_stage(f"{size[0]}x{size[1]}, round {number} of {rounds}: {way.name}")
            _turn(way, size, seconds, samples[way.name])
        results += [_result(way, size, samples[way.name]) for way in all_ways]
    return results


def _result(way: Way, size: tuple[int, int], samples: Samples) -> TransportResult:
    latency = np.percentile(samples.latency_ms, (50, 99)) if samples.latency_ms else None
    return TransportResult(
        way=way.name,
        group=way.group,
        link=way.link,
        width=size[0],
        height=size[1],
        frames_per_s=round(statistics.median(samples.fps), 1),
        cpu_ms_per_frame=round(statistics.median(samples.cpu_ms), 2),
        latency_p50_ms=None if latency is None else round(float(latency[0]), 2),
        latency_p99_ms=None if latency is None else round(float(latency[1]), 2),
        frames_per_s_of_rounds=[round(fps, 1) for fps in samples.fps],
    )


def bench(sizes: list[str], rounds: int, seconds: float, json_file: Path | None) -> None:
    """Measures, prints a table and optionally writes JSON.

    Raises:
        ValueError: A size is invalid, or a package is missing.
    """
    from benchmarks.machine import describe_machine  # imports torch, which sender and receiver do not need

    wanted = [_size(text) for text in sizes]
    results = measure(ways(), wanted, rounds, seconds)
    packages = ("numpy", "opencv-python", "pyzmq", "imagezmq", "vidgear", "simplejpeg")
    machine = describe_machine() | {name: version(name) for name in packages}
    del machine["cpu_threads"]  # the thread count of torch, which is not used here
    machine["cpus"] = str(os.cpu_count())
    Console().print(_table(results, machine))
    if json_file is not None:
        document = {
            "machine": machine,
            "rounds": rounds,
            "seconds": seconds,
            "results": [asdict(result) for result in results],
        }
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) >= 16 and int(height) >= 16):
        raise ValueError(f"{text}: invalid size: use the form 1920x1080")
    return int(width), int(height)


def _table(results: list[TransportResult], machine: dict[str, str]) -> Table:
    table = Table(
        title=f"{machine['processor']}, Python {machine['python']}, pyzmq {machine['pyzmq']}",
        caption="CPU: ms per frame of both ends together, at full speed; latency at 30 frames/s",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("", "size", "frames/s", "CPU ms", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right" if heading not in ("", "size") else "left", no_wrap=True)
    for result in results:
        table.add_row(
            result.way,
            f"{result.width}x{result.height}",
            f"{result.frames_per_s:.0f}",
            f"{result.cpu_ms_per_frame:.2f}",
            *("-" if ms is None else f"{ms:.2f}" for ms in (result.latency_p50_ms, result.latency_p99_ms)),
        )
    return table
