"""Bad pictures before the cache: not predicted, not remembered, and told, from the frame to the report."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.account.stats import StreamStats
from pipeline.base.frame import Frame, FrameId, Image, Policy
from tests.scene.staged import covered, noisy, scene
from tests.video.test_frame_numbers import decoded, encoded, without
from tests.workers.pipeline import Pipeline
from workers.picture_gate import PictureGate

MS = 1_000_000
FPS = 25
SCENE = scene(2, 240, 320)


def picture(number: int, begins: int, ends: int) -> Image:
    """Of a film whose lens is covered for a while."""
    return noisy(covered(SCENE) if begins <= number < ends else SCENE, number)


def frame(number: int, image: Image, policy: Policy = "newest") -> Frame:
    at_ns = number * 1000 // FPS * MS
    return Frame(FrameId("door", 1, 0, number), image, 10**18 + at_ns, pts_ns=at_ns, policy=policy)


def test_the_states_of_a_stream_are_counted_and_its_fault_is_shown_until_it_is_over() -> None:
    gate, stats = PictureGate(), StreamStats()
    stats.things.now = "1 thing moving"
    bad = [gate.check(frame(number, picture(number, 150, 225)), stats) for number in range(225)]
    assert bad[149] is None
    last = bad[-1]
    assert last is not None
    assert (last.state, last.id.seq, last.policy) == ("covered", 224, "newest")
    assert last.for_s == pytest.approx(74 / FPS)
    assert (stats.picture, stats.things.now) == ("covered", "")
    assert stats.bad_since_ns > 0
    skipped = sum(one is not None for one in bad)
    assert stats.health_us == {"ok": (224 - skipped) * 40_000, "covered": skipped * 40_000}
    for number in range(225, 255):
        gate.check(frame(number, picture(number, 0, 0)), stats)
    assert (stats.picture, stats.bad_since_ns) == ("ok", 0)


def test_a_silence_of_the_source_counts_for_no_state_and_an_end_forgets_the_view() -> None:
    gate, stats = PictureGate(), StreamStats()
    for number in (0, 1, 1 + 6 * FPS):
        gate.check(frame(number, SCENE), stats)
    assert stats.health_us == {"ok": 40_000}
    black = np.zeros_like(SCENE)
    for number in range(200, 260):
        gate.check(frame(number, black), stats)
    assert stats.picture == "dark"
    gate.end(stats)
    assert (stats.picture, stats.bad_since_ns) == ("ok", 0)
    assert gate.check(frame(300, black), stats) is None


@pytest.mark.parametrize(("policy", "is_bad"), [("newest", True), ("every", False)])
def test_a_file_may_repeat_a_picture(policy: Policy, is_bad: bool) -> None:
    gate, stats = PictureGate(), StreamStats()
    for number in range(0, 20 * FPS, 5):
        gate.check(frame(number, noisy(SCENE, number), policy), stats)
    still = [gate.check(frame(20 * FPS + number, SCENE, policy), stats) for number in range(0, 5 * FPS, 5)]
    assert (still[-1] is not None) == is_bad


def test_what_lacks_packets_is_bad_though_nobody_looks_at_pictures(tmp_path: Path) -> None:
    """From a loss to the next key frame; and a second more, as with every fault."""
    pictures = decoded(without(encoded(tmp_path / "film.h264", slices="1"), 13, slice(None)))
    gate, stats = PictureGate(judge_looks=False), StreamStats()
    for number in range(30):
        assert gate.check(frame(number, np.zeros_like(SCENE)), stats) is None, "a dark one is not"
    bad = [
        gate.check(replace(frame(30 + number, one.image), smeared=one.smeared), stats)
        for number, one in enumerate(pictures)
    ]
    states = ["ok" if one is None else one.state for one in bad]
    assert states == ["ok"] * 13 + ["smeared"] * (len(pictures) - 13)
    assert stats.health_us == {"smeared": (len(pictures) - 13) * 40_000}


def film(path: Path, frames: int, begins: int, ends: int) -> Path:
    """The lens is covered from one frame to another."""
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.time_base, stream.bit_rate = Fraction(1, FPS), 6_000_000
        for number in range(frames):
            image = picture(number, begins, ends)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("health", [True, False])
def test_a_lens_that_is_covered_in_the_middle_of_a_run(place: Path, health: bool) -> None:
    frames, begins, ends = (325, 175, 275) if health else (200, 150, 200)  # long enough to be believed
    door = film(place / "door.mp4", frames, begins, ends)
    events = place / "events.jsonl"
    options = ("--source", str(door), "--events", str(events), "--set", f"inference.health={health}".lower())
    with Pipeline(place, *options) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = outcome.stream("door")
    assert (stream["captured"], stream["rendered"], stream["unaccounted"]) == (frames, frames, 0)
    predicted = {line["seq"] for line in map(json.loads, run.predictions_file.read_text().splitlines())}
    told = [json.loads(line) for line in events.read_text().splitlines()]
    if not health:
        assert (len(predicted), stream["health"], told) == (frames, {}, [])
        return
    skipped = set(range(325)) - predicted
    assert skipped == set(range(min(skipped), max(skipped) + 1))
    assert 175 + FPS <= min(skipped) <= 175 + 3 * FPS
    assert 275 <= max(skipped) <= 275 + 2 * FPS
    assert stream["not_predicted"] == {"inference.bad_picture": len(skipped)}
    assert stream["rendered_without_prediction"] == {"skipped": len(skipped)}
    assert stream["health"]["covered"] == pytest.approx(len(skipped) / FPS, abs=0.11)
    assert stream["health"]["ok"] == pytest.approx((324 - len(skipped)) / FPS, abs=0.11)
    assert stream["cache"]["resets"] == {"gap": 1}
    start, end = told
    assert (start["kind"], start["phase"], end["kind"], end["phase"]) == (
        "covered",
        "start",
        "covered",
        "end",
    )
    assert end["start"] == start["id"]
    assert end["for_s"] == pytest.approx(4.0, abs=0.2)
    assert start["why"]["sharp"] < start["why"]["usually_sharp"]
    assert stream["events"] == {"covered": 1}
    assert "image: covered" in outcome.out
