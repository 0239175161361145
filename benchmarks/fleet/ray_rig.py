"""A fleet on a Ray cluster of several nodes on one machine, for measurements and tests."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil

from pipeline.account.ledger import build_report
from pipeline.base.config import Config
from pipeline.video.demo import DemoSource
from pipeline.wire.keys import allow, new_keys
from workers.collector import Collector
from workers.fleet import fleet_on_ray
from workers.fleet.fleet_file import load_fleet, with_endpoints_of
from workers.fleet.ray_cluster import connect, ray

_PICTURES = 100
_DEADLINE_S = 180.0


@dataclass
class Fleet:
    """A running fleet.

    Attributes:
        cluster: ``ray.cluster_utils.Cluster``.
        nodes: Nodes by label, without the head, which runs capture and the sink.
        coordinator: Handle of the coordinator.
        options: Keys of the workers' configuration.
        predictions: File of predictions, as JSON lines.
        config: The workers' configuration, without endpoints.
        collector: Receives the statistics of all workers, including those that start later.
    """

    cluster: Any
    nodes: dict[str, Any]
    coordinator: Any
    options: list[str]
    predictions: Path
    config: Config
    collector: Collector
    _answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def status(self) -> dict[str, Any]:
        """See ``Coordinator.status``."""
        told: dict[str, Any] = fleet_on_ray.call(self.coordinator, "status")
        return told

    def add_node(self, name: str) -> None:
        """Adds a node for one inference worker."""
        self.nodes[name] = self.cluster.add_node(
            num_cpus=1, labels={"part": "inference", "node": name}, object_store_memory=80 * 2**20
        )

    def kill_node(self, name: str) -> None:
        """Kills all processes of a node at once, without warning."""
        node = self.nodes.pop(name)
        [raylet] = node.all_processes["raylet"]
        parent = psutil.Process(raylet.process.pid)
        parent.suspend()  # otherwise it would replace its children as they die
        for process in [*parent.children(recursive=True), parent]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.remove_node(node, allow_graceful=False)

    def coordinator_process(self) -> psutil.Process:
        """The process that runs the coordinator now."""
        [raylet] = self.cluster.head_node.all_processes["raylet"]
        children = psutil.Process(raylet.process.pid).children(recursive=True)
        return next(one for one in children if "_CoordinatorActor" in " ".join(one.cmdline()))

    def answers(self) -> list[tuple[int, dict[str, Any]]]:
        """All predictions so far, in the order of arrival at the sink, each with its Unix time in ns."""
        return list(self._answers)

    def follow_answers(self, stop: threading.Event) -> None:
        """Records when predictions arrive, until stopped."""
        rest, file = b"", self.predictions
        while not file.exists() and not stop.wait(0.01):
            pass
        with file.open("rb") as lines:
            while not stop.wait(0.01):
                *whole, rest = (rest + lines.read()).split(b"\n")
                self._answers += [(time.time_ns(), json.loads(line)) for line in whole]

    def wait(
        self, what: str, is_so: Callable[[dict[str, Any]], object], timeout_s: float = _DEADLINE_S
    ) -> Any:
        """Waits until the status fulfils a condition; returns the status.

        Raises:
            TimeoutError: The condition was not fulfilled in time.
        """
        until = time.monotonic() + timeout_s
        while True:
            self.collector.poll(0.05)
            if found := is_so(self._listen()):
                return found
            if time.monotonic() > until:
                raise TimeoutError(
                    f"waited {timeout_s:g} s until {what}: {json.dumps(self.status(), indent=1)}"
                )

    def report(self, seconds: float = 0.0, *, final: bool = False) -> dict[str, Any]:
        """The report of the statistics received so far; ``final`` means that no worker is running."""
        until = time.monotonic() + seconds
        if not final:
            self._listen()
        while time.monotonic() < until:
            self.collector.poll(0.1)
        return build_report(self.collector.sessions, {}, running=not final)

    def _listen(self) -> dict[str, Any]:
        """The status; also subscribes to the statistics of all workers in it."""
        status = self.status()
        self.collector.connect(with_endpoints_of(self.config, status["endpoints"]))
        return status


@contextmanager
def ray_fleet(
    folder: Path,
    streams: int,
    nodes: int,
    *,
    fps: float = 2.0,
    size: tuple[int, int] = (160, 120),
    options: Sequence[str] = (),
    placement: str = "",
    film_s: float = 400.0,
) -> Iterator[Fleet]:
    """Starts a head with capture and the sink, and nodes with an inference worker each.

    Args:
        folder: Folder for all files.
        streams: Number of streams at the start.
        nodes: Number of nodes in addition to the head.
        fps: Frame rate of each stream, a paced video of the demo tour.
        size: Width and height of its frames.
        options: Keys of the workers' configuration.
        placement: Lines of ``[placement]``.
        film_s: Length of the videos, in s.
    """
    from ray.cluster_utils import Cluster

    film, predictions = folder / "film.mp4", folder / "predictions.jsonl"
    write_film(film, fps, size, film_s)
    file = folder / "fleet.toml"
    file.write_text(
        _FLEET.format(nodes=nodes, placement=placement)
        + "".join(stream_entry(f"cam{n:02d}", film) for n in range(streams))
    )
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "labels": {"part": "head"}, "include_dashboard": False},
    )
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.shutdown)
        connect("rig", cluster.address)
        stack.callback(ray().shutdown)
        overrides = [f"sink.predictions={predictions}", *_keys(folder), *_QUIET, *options]
        fleet, config = load_fleet(file, overrides)
        rig = Fleet(cluster, {}, None, overrides, predictions, config, Collector(config))
        stack.callback(rig.collector.close)
        for number in range(1, nodes + 1):
            rig.add_node(f"n{number}")
        rig.coordinator = fleet_on_ray.up(fleet, config)
        rig.wait(
            "all workers are ready",
            lambda told: all(one["state"] == "ready" for one in told["workers"].values()),
        )
        stop = threading.Event()
        following = threading.Thread(target=rig.follow_answers, args=(stop,))
        following.start()
        stack.callback(following.join)
        stack.callback(stop.set)
        yield rig


def _keys(folder: Path) -> list[str]:
    """Creates the key pair that encrypts all links of the fleet."""
    public, secret = new_keys(folder / "keys", "fleet")
    allow(folder / "allowed", public)
    servers = [f"security.servers.{role}={public}" for role in ("capture", "inference", "sink")]
    return [f"security.secret_key={secret}", f"security.allowed={folder / 'allowed'}", *servers]


def write_film(file: Path, fps: float, size: tuple[int, int], seconds: float) -> None:
    """Writes a video that repeats the beginning of the demo tour."""
    rate = max(round(fps), 1)
    with av.open(str(file), "w") as container, DemoSource(0) as source:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        pictures = []
        for _ in range(_PICTURES):
            grabbed = source.read()
            assert grabbed is not None
            pictures.append(cv2.resize(grabbed.image, size, interpolation=cv2.INTER_AREA))
        for number in range(int(rate * seconds)):
            picture = pictures[number % _PICTURES].astype(np.uint8, copy=False)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


def stream_entry(name: str, film: Path) -> str:
    """An entry of ``fleet.toml`` for a video that is played like a camera."""
    return f'[[streams]]\nid = "{name}"\nsource = "{film}"\npace = true\npolicy = "newest"\n'


_FLEET = """name = "rig"
[inference]
labels = {{ part = "inference" }}
scaling = {{ least = {nodes}, most = {nodes} }}
[capture.capture]
labels = {{ part = "head" }}
[sink]
labels = {{ part = "head" }}
[placement]
{placement}
"""
_QUIET = (
    "sink.web=false",
    "sink.record=false",
    "run.output_dir=",
    "inference.attention=false",
    "wire.stats_interval_s=0.2",
)
