"""Many streams on several inference workers: ``python -m benchmarks.shared_streams --json FILE``.

Feeders send frames of the demo tour, each for several streams, as capture does; inference workers run as
under a supervisor; predictions are counted as received by a sink. For each number of workers:

full     unpaced feeders without frame loss: predictions per second
paced    a fixed frame rate per stream, late frames are dropped: latency from capture to prediction
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import cv2
import numpy as np

from benchmarks.machine import describe_machine
from pipeline.account.stats import Histogram
from pipeline.base.clock import now_ns
from pipeline.base.config import Config, load_config
from pipeline.base.frame import Frame, FrameId, Image, Policy
from pipeline.base.scratch import scratch_folder
from pipeline.video.demo import DemoSource
from pipeline.wire.arrivals import ReceivedPrediction
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.receivers import PredictionReceiver
from pipeline.wire.security import SecurityPolicy
from workers.child import Child
from workers.sharing import config_of, with_endpoints, worker_names

_CONTEXT = multiprocessing.get_context("spawn")
_PICTURES = 50
_SIZE = (320, 240)
_START_S = 600.0


@dataclass(frozen=True)
class Row:
    """Result for one number of workers.

    Attributes:
        mode: ``full`` or ``paced``.
        workers: Inference processes.
        streams: Number of shared streams.
        fps: Frame rate of each stream; 0: as fast as possible.
        predictions_per_s: Prediction rate over all streams.
        p50_ms: Median latency from capture to prediction.
        p99_ms: 99th percentile of this latency.
        share: Share of frames that were predicted.
    """

    mode: str
    workers: int
    streams: int
    fps: float
    predictions_per_s: float
    p50_ms: float
    p99_ms: float
    share: float


def configuration(folder: Path, streams: int, workers: int, feeders: int, options: Sequence[str]) -> Config:
    """Configuration of a pipeline with feeders in place of capture workers."""
    tables = ", ".join(f'{{id = "{_name(n)}", source = "demo"}}' for n in range(streams))
    frames = ", ".join(f'"ipc://{folder}/frames-{n}"' for n in range(feeders))
    own = [f"endpoints.{name}=['ipc://{folder}/{name}']" for name in ("predictions", "inference_stats")]
    said = [f"streams=[{tables}]", f"endpoints.frames=[{frames}]", *own, f"inference.workers={workers}"]
    return with_endpoints(load_config(None, [*said, "inference.attention=false", *options]))


def _name(number: int) -> str:
    return f"camera{number:03d}"


def feed(config: Config, feeder: int, fps: float, stop: Event, sent: "multiprocessing.Queue[int]") -> None:
    """Sends frames of this feeder's streams until stopped; then reports the number of frames."""
    cv2.setNumThreads(1)
    feeders, session = len(config.endpoints.frames), now_ns()
    names = [stream.id for stream in config.streams][feeder::feeders]
    pictures, policy = _pictures(feeder), _policy(fps)
    numbers = dict.fromkeys(names, 0)
    endpoint = config.endpoints.frames[feeder]
    security = SecurityPolicy(config.security)
    with FramePublisher(endpoint, config.wire, security, config.capture, len(names)) as publisher:
        while publisher.listeners()["inference"] < config.inference.workers and not stop.is_set():
            time.sleep(0.01)
        began, turn = time.monotonic(), 0
        while not stop.is_set():
            if fps and (early := began + turn / fps - time.monotonic()) > 0:
                time.sleep(early)
            for name in names:
                number = numbers[name]
                frame_id = FrameId(name, session, 0, number)
                frame = Frame(frame_id, pictures[number % len(pictures)], now_ns(), policy=policy)
                # If a queue is full, continue with the other streams: each worker waits only for its own.
                numbers[name] += publisher.send_frame(frame, timeout_s=0.0)
            turn += 1
            publisher.pop_feedback()
    sent.put(sum(numbers.values()))


def _policy(fps: float) -> Policy:
    return "newest" if fps else "every"


def _pictures(seed: int) -> list[Image]:
    """Frames of the demo tour, forwards and backwards."""
    with DemoSource(seed) as source:
        there: list[Image] = []
        for _ in range(_PICTURES):
            grabbed = source.read()
            assert grabbed is not None
            small = cv2.resize(grabbed.image, _SIZE, interpolation=cv2.INTER_AREA)
            there.append(small.astype(np.uint8, copy=False))
    return [*there, *reversed(there)]


def measure(config: Config, rates: Sequence[float], seconds: float, warm_up_s: float) -> Iterator[Row]:
    """Runs one set of workers, and feeds them at each rate in turn; rate 0 means as fast as possible."""
    security = SecurityPolicy(config.security)
    with PredictionReceiver(config.endpoints.predictions, config.wire, security) as answers, _running(config):
        for fps in rates:
            yield _count(config, answers, fps, seconds, warm_up_s)


def _count(config: Config, answers: PredictionReceiver, fps: float, seconds: float, warm_up_s: float) -> Row:
    """Feeds the workers; counts after each stream has been predicted and the warm-up has passed."""
    streams, workers = len(config.streams), config.inference.workers
    with ExitStack() as stack:
        stop, sent = _CONTEXT.Event(), _CONTEXT.Queue()
        feeding = [
            _CONTEXT.Process(target=feed, args=(config, n, fps, stop, sent), daemon=True)
            for n in range(len(config.endpoints.frames))
        ]
        for process in feeding:
            process.start()
        stack.callback(stop.set)
        _hear(answers, _policy(fps), _START_S, until=streams)
        _hear(answers, _policy(fps), warm_up_s)
        latencies, first, last = _hear(answers, _policy(fps), seconds)
        stop.set()
        for _ in feeding:
            while sent.empty():
                answers.poll(0.05)
            sent.get()
        for process in feeding:
            process.join()
    count, offered = latencies.total, sum(last[name] - first[name] + 1 for name in last)
    p50, p99 = latencies.percentile(50), latencies.percentile(99)
    assert p50 is not None
    assert p99 is not None
    mode = "paced" if fps else "full"
    return Row(mode, workers, streams, fps, round(count / seconds, 1), p50, p99, round(count / offered, 4))


@contextmanager
def _running(config: Config) -> Iterator[None]:
    """Starts the inference workers; enters the context once they are ready, and kills them at the end."""
    children = [Child(name, "inference", _show) for name in worker_names("inference", config)]
    try:
        for child in children:
            child.start(config_of(child.name, child.role, config), {})
        deadline = time.monotonic() + _START_S
        for child in children:
            while not child.ready:
                report = child.poll()
                if (report and report.kind != "ready") or not child.alive or time.monotonic() > deadline:
                    raise RuntimeError(f"{child.name}: {report.text if report else 'did not start in time'}")
                time.sleep(0.05)
        yield
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.join()


def _show(line: str) -> None:
    """Prints a worker's log line, such as preparing for more streams, to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _hear(
    answers: PredictionReceiver, policy: Policy, seconds: float, until: int = 0
) -> tuple[Histogram, dict[str, int], dict[str, int]]:
    """Receives predictions for ``seconds``, or until ``until`` streams were predicted three times.

    Predictions with another policy belong to earlier feeders and are ignored.

    Returns:
        Latencies from capture to prediction, and the first and last frame number by stream.
    """
    latencies, first, last = Histogram(), dict[str, int](), dict[str, int]()
    seen: dict[str, int] = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for one in answers.poll(0.05, max_every=256):
            if not isinstance(one, ReceivedPrediction) or one.prediction.policy != policy:
                continue
            about = one.prediction
            latencies.record((about.predicted_ns - about.capture_ns) / 1e6)
            first.setdefault(about.stream_id, about.seq)
            last[about.stream_id] = about.seq
            seen[about.stream_id] = seen.get(about.stream_id, 0) + 1
        if until and sum(count >= 3 for count in seen.values()) >= until:
            return latencies, first, last
    if until:
        raise RuntimeError(f"only {len(seen)} of {until} streams were predicted in {seconds:g} s")
    return latencies, first, last


def main() -> None:
    """Prints a table and stores the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, action="append", help="default: 1 and 2")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--feeders", type=int, default=2, help="processes that send frames")
    parser.add_argument("--fps", type=float, default=0.0, help="frame rate for the latency run; 0: skip it")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured time")
    parser.add_argument("--warm-up", type=float, default=0.0, metavar="S", help="warm-up before it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="a key of the configuration")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[Row] = []
    print("| mode | workers | predictions/s | p50 ms | p99 ms | predicted |\n|---|---|---|---|---|---|")
    for turn in range(options.rounds):
        numbers = list(options.workers or (1, 2))
        for workers in numbers if turn % 2 == 0 else numbers[::-1]:
            with scratch_folder("kvq-sharing-") as folder:
                config = configuration(folder, options.streams, workers, options.feeders, options.set)
                rates = (0.0, options.fps) if options.fps else (0.0,)
                for row in measure(config, rates, options.seconds, options.warm_up):
                    rows.append(row)
                    figures = f"{row.predictions_per_s:.1f} | {row.p50_ms:.1f} | {row.p99_ms:.1f}"
                    print(f"| {row.mode} | {workers} | {figures} | {row.share:.0%} |", flush=True)
    summary = {
        f"{mode} {workers}": statistics.median(
            row.predictions_per_s if mode == "full" else row.p99_ms
            for row in rows
            if (row.mode, row.workers) == (mode, workers)
        )
        for mode, workers in sorted({(row.mode, row.workers) for row in rows})
    }
    print(json.dumps(summary))
    if options.json:
        result = {"machine": describe_machine(), "median": summary, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
