"""The main job: the demo tour through all workers, from one command."""

import math
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.base.config import load_config
from pipeline.model.checkpoint import save_checkpoint
from pipeline.model.description import describe_checkpoint
from tests.model.small import small
from tests.workers.pipeline import Pipeline
from tests.workers.program import Outcome

FRAMES = 150
SHIPPED = ("--set", "inference.checkpoint=motion_resnet18")
STREAM_KEYS = {
    "captured",
    "received",
    "predicted",
    "rendered",
    "dropped",
    "unaccounted",
    "backbone_passes",
    "cache",
    "fps",
    "latency_ms",
    "accuracy",
    "things",
}


@pytest.mark.slow
def test_one_command_from_camera_to_overlay(place: Path) -> None:
    with Pipeline(
        place, "--frames", str(FRAMES), *SHIPPED, "--set", "sink.web_port=0", "--set", "sink.web=true"
    ) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = outcome.stream("demo")
    assert [stream[key] for key in ("captured", "received", "predicted", "rendered")] == [FRAMES] * 4
    assert stream["backbone_passes"] == FRAMES
    assert stream["accuracy"] >= 0.9
    check_things(stream["things"])
    check_keys(outcome.report)
    check_times(stream)
    check_predictions(outcome)
    check_summary(outcome)
    (video,) = outcome.report["video"].values()
    with av.open(video) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


@pytest.mark.slow
def test_what_is_known_to_move_reaches_the_report_and_the_summary(place: Path) -> None:
    save_checkpoint(place / "motion.safetensors", small(motion=True))
    model = ("--set", f"inference.checkpoint={place}/motion.safetensors", "--set", "runtime.backend=torch")
    with Pipeline(place, "--frames", "40", *model) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    things = outcome.stream("demo")["things"]
    # one car, which has to be found from half a second on
    assert things["movers"] == 40 - 13
    assert 0 <= things["found"] <= things["movers"]
    assert things["recall"] == round(things["found"] / things["movers"], 4)
    assert f"recall {things['recall']:.0%}" in outcome.out


def check_things(things: dict[str, Any]) -> None:
    """A network with dense motion finds the first things of the street; another one has nothing to judge."""
    if not describe_checkpoint(load_config().inference.checkpoint).architecture.motion:
        assert (things["movers"], things["precision"], things["recall"]) == (0, None, None)
        return
    assert things["movers"] > 100
    assert things["precision"] >= 0.7
    assert things["recall"] >= 0.6
    assert things["direction_error_deg"] < 20


def check_keys(report: dict[str, Any]) -> None:
    assert {"streams", "runtime", "model", "workers"} <= set(report)
    stream = report["streams"]["demo"]
    assert set(stream) >= STREAM_KEYS
    assert set(stream["cache"]) == {"depth", "resets"}
    assert set(stream["cache"]["depth"]) == {"0", "1", "2"}
    assert sum(stream["cache"]["depth"].values()) == stream["predicted"]
    assert set(stream["fps"]) == {"capture", "prediction", "render"}
    assert set(stream["latency_ms"]) == {"capture_to_prediction", "capture_to_render", "stages"}
    assert report["runtime"].keys() >= {"backend", "device", "precision"}
    assert report["model"]["name"] == load_config().inference.checkpoint
    assert set(report["workers"]) == {"capture", "inference", "sink"}
    for worker in report["workers"].values():
        assert worker["restarts"] == 0
        assert worker["rss_mb"] > 10


def check_times(stream: dict[str, Any]) -> None:
    """Durations are possible ones: finite, never negative, in the order of their percentiles."""
    latency = stream["latency_ms"]
    distributions = [
        latency["capture_to_prediction"],
        latency["capture_to_render"],
        *latency["stages"].values(),
    ]
    for distribution in distributions:
        assert set(distribution) == {"p50", "p95", "p99"}
        assert all(math.isfinite(value) and value >= 0 for value in distribution.values())
        assert distribution["p50"] <= distribution["p95"] <= distribution["p99"]
    assert all(math.isfinite(fps) and fps > 0 for fps in stream["fps"].values())


def check_predictions(outcome: Outcome) -> None:
    """One line a frame, in order, each with sorted scores and no more past than there was."""
    lines = outcome.predictions
    assert [line["seq"] for line in lines] == list(range(FRAMES))
    assert [line["capture_ns"] for line in lines] == sorted(line["capture_ns"] for line in lines)
    for line in lines:
        assert list(line)[:6] == ["stream_id", "epoch", "seq", "capture_ns", "depth", "top"]
        assert (line["stream_id"], line["epoch"]) == ("demo", 0)
        assert 0 <= line["depth"] <= min(2, line["seq"])
        scores = [score for _, score in line["top"]]
        assert len(scores) == load_config().inference.top_k
        assert scores == sorted(scores, reverse=True)
        assert 0 <= scores[-1] <= sum(scores) <= 1.0001


def check_summary(outcome: Outcome) -> None:
    text = outcome.out[outcome.out.index("Summary") :]
    for wanted in (
        "accuracy",
        f"{FRAMES} captured = {FRAMES} shown + dropped 0",
        f"{FRAMES} frames with {FRAMES} backbone passes",
        "predicted ms",
        "shown ms",
        "demo.mp4",
        "no frame dropped",
    ):
        assert wanted in text
    assert outcome.err == ""
