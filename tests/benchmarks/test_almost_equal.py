import itertools
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.almost_equal import NOISES, THRESHOLDS, Share, film, play, show
from pipeline.model.history import StreamHistory
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from pipeline.video.tour import FPS
from tests.model.small import small


def test_a_clip_played_with_no_threshold_is_answered_by_full_steps() -> None:
    runtime = open_torch(small(labels=[*"abcdefghi"]), Options(device="cpu"))
    images = list(itertools.islice(film("marble", "pan_right", 1.0, 3.0), 9))
    news = []
    for image in images:
        news += runtime.infer([image], [[None, None]]).remember()
    answers, reused = play(runtime, images, news, 0.0)
    assert not any(reused)
    history, expected = StreamHistory[int](2, 100.0), []
    for n, image in enumerate(images):
        time_ns = round((n + 1) * 1e9 / FPS)
        slots = [slot and slot.entry for slot in history.select(time_ns)]
        step = runtime.infer([image], [slots])
        history.append(n, time_ns, step.remember()[0].entry)
        expected.append(runtime.labels[int(step.results[0].probabilities.argmax())])
    assert answers == expected
    assert play(runtime, images, news, 255.0)[1] == [False] + [True] * 8


def test_films_move_by_their_speed_and_always_have_noise() -> None:
    def change(motion: str, speed: float) -> float:
        first, *_, last = itertools.islice(film("marble", motion, speed, 1.0), 6)
        return float(np.abs(first.astype(float) - last).mean())

    assert 0.5 < change("static", 0.0) < change("pan_left", 0.1) < change("pan_left", 1.0)


def test_the_table_has_a_row_for_each_noise_and_speed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = [Share(0.4, noise, threshold, 9, 0.5, 0.25) for noise in NOISES for threshold in THRESHOLDS]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(asdict(share)) + "\n" for share in shares))
    show(tmp_path / "a.jsonl")
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"| {noise:g} | 0.4x |" + " 0.25 (50%) |" * len(THRESHOLDS) for noise in NOISES
    ]
