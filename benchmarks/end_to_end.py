"""The whole pipeline, from capture to prediction, compared with a single-process webcam demo.

Both play the same 640x480 videos in real time, as from a camera: one faster than the machine can process, for
the maximum rate, and one at 30 fps, for the latency. They run in alternation. The pipeline runs like ``python
run_stream.py``, including recording and web page; its metrics are those of its workers after the warm-up, so
start-up is excluded.
"""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from pipeline.account.stats import Histogram, StreamStats, WorkerStats
from pipeline.account.whole_run import merge
from pipeline.base.config import load_config
from pipeline.base.scratch import scratch_folder
from pipeline.base.stage_lines import print_stage
from pipeline.video.demo import DemoSource
from pipeline.video.pose import HEIGHT, WIDTH
from workers.collector import Collector
from workers.rundir import place_endpoints

RATES = (150, 30)
_STAGES = ("capture_queue", "encode", "wire", "inference_queue", "before_step", "step", "draw", "output")
_COLUMNS = {
    "predictions_per_s": "per s",
    "age_p50_ms": "p50",
    "age_p95_ms": "p95",
    "age_p99_ms": "p99",
    "before_step_p50_ms": "pre-step",
    "step_p50_ms": "step",
    "cpu_ms_per_prediction": "CPU",
}
_START_S = 90.0
_ROOT = Path(__file__).parents[1]
Metrics = dict[str, float]


def bench(
    seconds: float,
    warm_up_s: float,
    rounds: int,
    options: Sequence[str],
    json_file: Path | None,
    tour_frames: int | None = None,
) -> None:
    """Measures the pipeline and the demo at all rates; prints a table and optionally writes JSON.

    Args:
        seconds: Length of each measurement.
        warm_up_s: Warm-up before each measurement.
        rounds: Number of alternations; the median is reported.
        options: Further command-line options for ``run_stream.py``.
        json_file: Output file.
        tour_frames: Number of frames of the demo tour to repeat; None for all.

    Raises:
        ValueError: The pipeline or the demo did not start; the message includes its output.
    """
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, list[Metrics]]] = {}
    with scratch_folder("kvq-bench-") as folder:
        print_stage("rendering the videos")
        films = make_films(folder, warm_up_s + seconds, tour_frames)
        for number in range(1, rounds + 1):
            for rate, film in films.items():
                taken = results.setdefault(str(rate), {"pipeline": [], "webcam_demo": []})
                print_stage(f"{rate} fps, round {number} of {rounds}: pipeline")
                taken["pipeline"].append(run_pipeline(film, folder, warm_up_s, seconds, options))
                print_stage(f"{rate} fps, round {number} of {rounds}: webcam demo")
                taken["webcam_demo"].append(run_demo(film, warm_up_s, seconds))
    machine = describe_machine()
    middle = {rate: {who: _medians(rounds) for who, rounds in both.items()} for rate, both in results.items()}
    document = {
        "machine": machine,
        "seconds": seconds,
        "options": list(options),
        "medians": middle,
        "rounds": results,
    }
    Console().print(_table(middle, machine))
    if json_file is not None:
        json_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def make_films(folder: Path, seconds: float, tour_frames: int | None = None) -> dict[int, Path]:
    """Videos of the repeated demo tour at each rate, long enough for a run that starts slowly."""
    tour = folder / "tour.mp4"
    with av.open(tour, "w") as container, DemoSource() as source:
        stream = container.add_stream("libx264", rate=25, options={"tune": "zerolatency", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in islice(iter(source.read, None), tour_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.image, format="bgr24")))
        container.mux(stream.encode(None))
    films = {rate: folder / f"{rate}.mp4" for rate in RATES}
    for rate, film in films.items():
        _repeat(tour, film, rate, seconds + _START_S / 3)
    return films


def run_pipeline(
    film: Path, folder: Path, warm_up_s: float, seconds: float, options: Sequence[str]
) -> Metrics:
    """Runs all workers on a video played in real time; returns their metrics."""
    source = f"streams=[{{id='camera', source='{film}', policy='newest'}}]"
    outputs = ("--set", f"run.output_dir={folder / 'videos'}", "--set", "sink.web_port=0")
    command = [
        sys.executable,
        str(_ROOT / "run_stream.py"),
        "--headless",
        "--set",
        source,
        *outputs,
        *options,
    ]
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KVQ_")}
    with (folder / "said.txt").open("w+") as said:
        process = subprocess.Popen(
            command, env=environment | {"XDG_RUNTIME_DIR": str(runtime)}, stdout=said, stderr=said
        )
        try:
            with _collector(runtime, process) as collector:
                before = _watch(collector, warm_up_s, process)
                cpu_before_s = _cpu_s(process.pid)
                after = _watch(collector, seconds, process)
                cpu_s = _cpu_s(process.pid) - cpu_before_s
        except ValueError as error:
            said.seek(0)
            raise ValueError(f"{error}:\n{said.read()[-2000:]}") from None
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30.0)
            process.kill()
    return _metrics(before, after, cpu_s)


def run_demo(film: Path, warm_up_s: float, seconds: float) -> Metrics:
    """Runs the webcam demo on the same video."""
    times = ("--warm-up", str(warm_up_s), "--seconds", str(seconds))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.webcam_demo", str(film), *times],
        capture_output=True,
        text=True,
        check=False,
        cwd=_ROOT,
    )
    if done.returncode:
        raise ValueError(f"the webcam demo failed:\n{done.stderr[-2000:]}")
    metrics: Metrics = json.loads(done.stdout)
    return {name: round(value, 2) for name, value in metrics.items()}


def _repeat(tour: Path, film: Path, rate: int, seconds: float) -> None:
    """Writes a video repeatedly into another one with a new frame rate, without re-encoding."""
    with av.open(tour) as source, av.open(film, "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        number = 0
        while number < rate * seconds:
            source.seek(0)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream, packet.time_base = stream, Fraction(1, rate)
                    packet.pts = packet.dts = number
                    packet.duration = 1
                    container.mux(packet)
                    number += 1


@contextlib.contextmanager
def _collector(runtime: Path, process: "subprocess.Popen[bytes]") -> Iterator[Collector]:
    """Collects statistics as the monitor does, from the first prediction on."""
    deadline = time.monotonic() + _START_S
    while not (folders := list((runtime / "kvq-stream").glob("run-*/files"))):
        _check(process, deadline)
        time.sleep(0.05)
    collector = Collector(place_endpoints(load_config(), folders[-1]))
    try:
        while add_up(collector.sessions).predicted == 0:
            _check(process, deadline)
            collector.poll(0.1)
        yield collector
    finally:
        collector.close()


def _check(process: "subprocess.Popen[bytes]", deadline: float) -> None:
    if process.poll() is not None or time.monotonic() > deadline:
        raise ValueError("the pipeline did not start in time, or ended early")


def _watch(collector: Collector, seconds: float, process: "subprocess.Popen[bytes]") -> StreamStats:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        collector.poll(0.05)
        _check(process, until + 10.0)
    return add_up(collector.sessions)


def add_up(sessions: Iterable[WorkerStats]) -> StreamStats:
    """Merges the statistics of all workers; ``last_ns`` is that of inference.

    Other workers report at other times, so their last frame may be later.
    """
    found = [(metrics.role, metrics.streams["camera"]) for metrics in sessions if "camera" in metrics.streams]
    total = merge(stats for _, stats in found)
    total.last_ns = max((stats.last_ns for role, stats in found if role == "inference"), default=0)
    return total


def _cpu_s(pid: int) -> float:
    """CPU time so far of a process and its children."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def _metrics(before: StreamStats, after: StreamStats, cpu_s: float) -> Metrics:
    """Metrics between two snapshots; stages without frames are omitted.

    Raises:
        ValueError: Nothing was predicted.
    """
    predicted = after.predicted - before.predicted
    if not predicted:
        raise ValueError("no predictions during the measurement: increase --seconds")
    seconds = (after.last_ns - before.last_ns) / 1e9
    metrics = {"predictions_per_s": predicted / seconds}
    for percent in (50, 95, 99):
        ages = _between(before, after, "capture_to_prediction")
        if (age_ms := ages.percentile(percent)) is not None:
            metrics[f"age_p{percent}_ms"] = age_ms
    metrics["passes_per_prediction"] = (after.backbone_passes - before.backbone_passes) / predicted
    metrics["cpu_ms_per_prediction"] = cpu_s * 1000 / predicted
    for stage in _STAGES:
        if (took_ms := _between(before, after, stage).percentile(50)) is not None:
            metrics[f"{stage}_p50_ms"] = took_ms
    return {name: round(value, 2) for name, value in metrics.items()}


def _between(before: StreamStats, after: StreamStats, stage: str) -> Histogram:
    old, new = before.latency.get(stage, Histogram()), after.latency.get(stage, Histogram())
    counts = {bucket: count - old.counts.get(bucket, 0) for bucket, count in new.counts.items()}
    return Histogram(counts, new.largest)


def _medians(rounds: Sequence[Metrics]) -> Metrics:
    names = dict.fromkeys(name for one in rounds for name in one)
    return {name: round(statistics.median(one[name] for one in rounds if name in one), 2) for name in names}


def _table(middle: dict[str, dict[str, Metrics]], machine: dict[str, str]) -> Table:
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())
    caption = f"times in ms; demo: a single-process webcam demo; {about}"
    table = Table(caption=caption, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("640x480", no_wrap=True)
    for heading in _COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for rate, both in middle.items():
        for who, metrics in both.items():
            cells = [f"{metrics[name]:.1f}" if name in metrics else "-" for name in _COLUMNS]
            table.add_row(f"{rate} fps, {'demo' if who == 'webcam_demo' else who}", *cells)
    return table
