"""Recovery of a restarted worker: ``python -m benchmarks.restart_depth``.

Frames of the demo tour are sent at 25 fps, as by capture; inference is killed (SIGKILL) and restarted, with
and without replayed frames. The benchmark measures the parts of the time without predictions, as seen by a
sink, and the number of past frames of the first predictions.
"""

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.shared_streams import configuration, feed
from pipeline.base.config import Config, load_config
from pipeline.base.scratch import scratch_folder
from pipeline.wire.arrivals import ReceivedPrediction
from pipeline.wire.messages import Prediction
from pipeline.wire.receivers import PredictionReceiver
from pipeline.wire.security import SecurityPolicy
from workers.child import Child

_CONTEXT = multiprocessing.get_context("spawn")
_START_S = 300.0
_FPS = 25.0
_PREDICTED = 30


@dataclass(frozen=True)
class Row:
    """Result of one kill.

    Attributes:
        replay_ms: Length of the frames kept by capture for replay.
        start_s: From the kill until the new process is ready: Python, model, warm-up.
        first_ms: From readiness to the first prediction.
        full_ms: From readiness to the first prediction with full depth.
        depths: Number of past frames of the first predictions.
    """

    replay_ms: float
    start_s: float
    first_ms: float
    full_ms: float
    depths: list[int]


def measure(replay_ms: float, options: list[str]) -> Row:
    """Kills an inference worker once, and receives predictions from the next one."""
    with scratch_folder("kvq-restart-") as folder, ExitStack() as stack:
        config = configuration(folder, 1, 1, 1, [f"capture.replay_ms={replay_ms}", *options])
        security = SecurityPolicy(config.security)
        answers = stack.enter_context(PredictionReceiver(config.endpoints.predictions, config.wire, security))
        stop, sent = _CONTEXT.Event(), _CONTEXT.Queue()
        feeder = _CONTEXT.Process(target=feed, args=(config, 0, _FPS, stop, sent), daemon=True)
        feeder.start()
        stack.callback(feeder.join)
        stack.callback(stop.set)
        with _running(config) as inference:
            _hear(answers, _PREDICTED)
            assert inference.pid is not None
            os.kill(inference.pid, signal.SIGKILL)
            killed_s = time.monotonic()
        answers.poll(0.1)
        with _running(config):
            ready_s, ready_ns = time.monotonic(), time.time_ns()
            heard = _hear(answers, _PREDICTED)
    most = max(one.depth for one in heard)
    full_ns = next(one.predicted_ns for one in heard if one.depth == most)
    return Row(
        replay_ms,
        round(ready_s - killed_s, 2),
        round((heard[0].predicted_ns - ready_ns) / 1e6, 1),
        round((full_ns - ready_ns) / 1e6, 1),
        [one.depth for one in heard[:6]],
    )


@contextmanager
def _running(config: Config) -> Iterator[Child]:
    """Starts an inference worker and yields it once it is ready; kills it at the end."""
    child = Child("inference", "inference", lambda line: None)
    child.start(config, {})
    try:
        deadline = time.monotonic() + _START_S
        while not child.ready:
            report = child.poll()
            if (report and report.kind != "ready") or not child.alive or time.monotonic() > deadline:
                raise RuntimeError(f"inference: {report.text if report else 'did not start in time'}")
            time.sleep(0.005)
        yield child
    finally:
        child.kill()
        child.join()


def _hear(answers: PredictionReceiver, count: int) -> list[Prediction]:
    heard: list[Prediction] = []
    deadline = time.monotonic() + _START_S
    while len(heard) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(heard)} predictions in {_START_S:g} s")
        heard += [one.prediction for one in answers.poll(0.02) if isinstance(one, ReceivedPrediction)]
    return heard


def main() -> None:
    """Prints a table and stores the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=5, help="kills for each setting")
    parser.add_argument("--set", action="append", default=[], help="a key of the configuration")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    kept_ms = load_config().capture.replay_ms
    rows = [measure(ms, options.set) for _ in range(options.kills) for ms in (kept_ms, 0.0)]
    print("| capture.replay_ms | start s | to first ms | to full depth ms | depths |\n|---|---|---|---|---|")
    for ms in (kept_ms, 0.0):
        mine = [row for row in rows if row.replay_ms == ms]
        medians = [statistics.median(getattr(row, name) for row in mine) for name in ("start_s", "first_ms")]
        full = statistics.median(row.full_ms for row in mine)
        depths = ", ".join(" ".join(map(str, row.depths)) for row in mine)
        print(f"| {ms:g} | {medians[0]:.2f} | {medians[1]:.0f} | {full:.0f} | {depths} |")
    if options.json:
        found = {"machine": describe_machine(), "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
