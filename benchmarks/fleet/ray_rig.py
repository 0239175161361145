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
    """A fleet that is up.

    Attributes:
        cluster: ``ray.cluster_utils.Cluster``.
        nodes: Beside the head, which has capture and the sink: by label.
        coordinator: Its handle.
        options: Keys of the workers' configuration.
        predictions: File with a JSON object for each.
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
        """A node for one inference worker."""
        self.nodes[name] = self.cluster.add_node(
            num_cpus=1, labels={"part": "inference", "node": name}, object_store_memory=80 * 2**20
        )

    def kill_node(self, name: str) -> None:
        """Takes a node away: all of its processes die at once, and nothing on it is told."""
        node = self.nodes.pop(name)
        [raylet] = node.all_processes["raylet"]
        parent = psutil.Process(raylet.process.pid)
        parent.suspend()  # it must not see its children die, and start others
        for process in [*parent.children(recursive=True), parent]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.remove_node(node, allow_graceful=False)

    def coordinator_process(self) -> psutil.Process:
        """That which it runs in now."""
        [raylet] = self.cluster.head_node.all_processes["raylet"]
        children = psutil.Process(raylet.process.pid).children(recursive=True)
        return next(one for one in children if "_CoordinatorActor" in " ".join(one.cmdline()))

    def answers(self) -> list[tuple[int, dict[str, Any]]]:
        """All predictions until now, in the order in which the sink took them, each with the time in ns."""
        return list(self._answers)

    def follow_answers(self, stop: threading.Event) -> None:
        """Notes when predictions come, until it is stopped."""
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
        """Waits until something is so of the status; what that was.

        Raises:
            TimeoutError: It is not in time.
        """
        until = time.monotonic() + timeout_s
        while True:
            self.collector.poll(0.05)
            if found := is_so(self._listen()):
                return found
            if time.monotonic() > until:
                raise TimeoutError(
                    f"{what}: not within {timeout_s:g} s: {json.dumps(self.status(), indent=1)}"
                )

    def report(self, seconds: float = 0.0, *, final: bool = False) -> dict[str, Any]:
        """The report of what workers have said after so long; ``final``: none runs any more."""
        until = time.monotonic() + seconds
        if not final:
            self._listen()
        while time.monotonic() < until:
            self.collector.poll(0.1)
        return build_report(self.collector.sessions, {}, running=not final)

    def _listen(self) -> dict[str, Any]:
        """The status; the statistics of all workers in it are received from now on."""
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
    """A head with capture and the sink, and so many nodes with an inference worker each.

    Args:
        folder: For all files.
        streams: That are there from the beginning.
        nodes: Beside the head.
        fps: Of each stream, a paced film of the demo tour.
        size: Of its pictures: columns, rows.
        options: Keys of the workers' configuration.
        placement: Lines of ``[placement]``.
        film_s: How long the cameras have something to show.
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
            "all are ready", lambda told: all(one["state"] == "ready" for one in told["workers"].values())
        )
        stop = threading.Event()
        following = threading.Thread(target=rig.follow_answers, args=(stop,))
        following.start()
        stack.callback(following.join)
        stack.callback(stop.set)
        yield rig


def _keys(folder: Path) -> list[str]:
    """One key pair for the fleet: all its links are encrypted."""
    public, secret = new_keys(folder / "keys", "fleet")
    allow(folder / "allowed", public)
    servers = [f"security.servers.{role}={public}" for role in ("capture", "inference", "sink")]
    return [f"security.secret_key={secret}", f"security.allowed={folder / 'allowed'}", *servers]


def write_film(file: Path, fps: float, size: tuple[int, int], seconds: float) -> None:
    """A film that shows the beginning of the demo tour again and again."""
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
    """An entry of ``fleet.toml`` for a film that is played as a camera would."""
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
