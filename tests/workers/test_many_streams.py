"""Several cameras in one batch: none waits for another, and pictures that stand still cost no backbone."""

import contextlib
import json
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.model.checkpoint import load_checkpoint
from pipeline.model.history import StreamHistory
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from tests.support import need_module
from tests.video.clips import write_video
from tests.workers.films import camera_film
from tests.workers.pipeline import QUICK, Pipeline, quick_model, small_checkpoint, streams
from tests.workers.program import RUN_S, Program, until


@pytest.mark.slow
def test_a_camera_that_stalls_delays_no_other(place: Path) -> None:
    film = camera_film(place / "film.mp4", frames=2500)
    names = ("steady", "stalling")
    frames = [f"ipc://{place}/{name}-frames" for name in names]
    everyone = ("--set", f"endpoints.frames={json.dumps(frames)}")
    with contextlib.ExitStack() as running:

        def start(role: str, *more: str, name: str) -> Program:
            options = ("--set", f"endpoints.{role}_stats=['ipc://{place}/{name}-stats']")
            predictions = ("--set", f"endpoints.predictions=['ipc://{place}/predictions']")
            return running.enter_context(Program(place, role, *options, *predictions, *more, name=name))

        sink = start("sink", *everyone, *QUICK, "--predictions", "predictions.jsonl",
                     "--set", "run.output_dir=", name="sink")  # fmt: skip
        inference = start("inference", *everyone, *quick_model(), name="inference")
        cameras = [
            start("capture", *streams({"id": name, "source": str(film), "policy": "newest"}),
                  "--set", f"endpoints.frames=['{where}']", name=name)
            for name, where in zip(names, frames, strict=True)
        ]  # fmt: skip

        def predicted(stream_id: str) -> int:
            text = sink.predictions_file.read_text() if sink.predictions_file.exists() else ""
            return text.count(f'"stream_id":"{stream_id}"')

        def told() -> str:
            return "\n".join(f"{p.folder.name}: {p.out} {p.err}" for p in (sink, inference, *cameras))

        def wait_for(stream_id: str, count: int) -> None:
            until(lambda: predicted(stream_id) >= count, f"{count} predictions of {stream_id}", RUN_S, told)

        for name in names:
            wait_for(name, 10)
        os.kill(cameras[1].process.pid, signal.SIGSTOP)
        before = predicted("stalling")
        wait_for("steady", predicted("steady") + 50)
        during = predicted("stalling") - before
        os.kill(cameras[1].process.pid, signal.SIGCONT)
        wait_for("stalling", before + during + 10)
        for program in (*cameras, inference, sink):
            program.signal(signal.SIGINT)
            outcome = program.finish()
            assert outcome.code == 0, outcome.told()
    assert during < 10, "the camera was not really stopped"


@pytest.mark.slow
def test_films_take_turns_where_not_all_fit_into_a_step(place: Path) -> None:
    frames, names = 30, ("one", "two", "three")
    films = [write_video(place / f"{name}.mp4", frames=frames, width=320, height=240) for name in names]
    sources = [word for film in films for word in ("--source", str(film))]
    with Pipeline(place, *sources, "--set", "inference.max_batch=2") as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    early = [line["stream_id"] for line in outcome.predictions[: 2 * frames]]
    assert min(early.count(name) for name in names) >= frames / 2, outcome.told()
    for name in names:
        stream = outcome.stream(name)
        assert stream["predicted"] == frames
        assert stream["backbone_passes"] + stream["reused"] == frames


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_unchanged_pictures_leave_out_the_backbone_and_change_no_answer(place: Path, backend: str) -> None:
    if backend != "torch":
        need_module(backend, backend)
    shown = (0, 0, 1, 2, 2, 2, 2, 0, 3, 3, 1)
    dice = np.random.default_rng(0)
    pictures = [cv2.resize(dice.integers(0, 256, (9, 12, 3), np.uint8), (320, 240)) for _ in range(4)]
    folder = place / "screen"
    folder.mkdir()
    for n, which in enumerate(shown):
        assert cv2.imwrite(str(folder / f"{n:02}.png"), pictures[which])
    options = (
        f"runtime.backend={backend}",
        "inference.device=cpu",
        "inference.precision=fp32",
        "history.spacing_ms=0",
    )
    words = [word for option in options for word in ("--set", option)]
    with Pipeline(place, "--source", str(folder), *words) as run:
        outcome = run.finish()
    assert outcome.report["runtime"]["backend"] == backend
    stream = outcome.stream("screen")
    assert (stream["predicted"], stream["reused"], stream["backbone_passes"]) == (11, 5, 6)
    assert "11 frames with 6 backbone passes, 5 reused" in outcome.out

    model = load_checkpoint(small_checkpoint())
    runtime, history = open_torch(model, Options(device="cpu")), StreamHistory[int](model.num_past)
    passes = 0
    for n, which in enumerate(shown):  # a full step for each
        slots = [slot and slot.entry for slot in history.select(n + 1)]
        step = runtime.infer([pictures[which]], [slots])
        history.append(n, n + 1, step.remember()[0].entry)
        passes += step.backbone_passes
        expected = dict(zip(model.labels, step.results[0].probabilities.tolist(), strict=True))
        line = outcome.predictions[n]
        assert line["depth"] == min(n, model.num_past)
        for label, score in line["top"]:
            assert score == pytest.approx(expected[label], abs=1e-4)
    assert passes == len(shown)
