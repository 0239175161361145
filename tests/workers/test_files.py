"""Real films and made ones through all workers: nothing is lost, the past is kept and let go as promised."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.base.config import load_config
from pipeline.wire.arrivals import ReceivedPrediction
from pipeline.wire.messages import Prediction
from pipeline.wire.receivers import PredictionReceiver
from pipeline.wire.security import SecurityPolicy
from tests.support import hand_held, people_walking
from tests.video.clips import write_video
from tests.workers.films import count, cut, film_with_gap, pictures_that_grow
from tests.workers.pipeline import Pipeline, streams
from tests.workers.program import RUN_S, Outcome, until


@pytest.mark.slow
def test_two_real_films_in_one_run_lose_nothing(place: Path) -> None:
    (place / "whole").mkdir()
    films = [cut(people_walking(), place, 120), cut(hand_held(place / "whole"), place, 200)]
    with Pipeline(place, *(word for film in films for word in ("--source", str(film)))) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    for film in films:
        check_complete(outcome, film.stem, count(film))
        assert count(Path(outcome.report["video"][film.stem])) == count(film)
    early = [line["stream_id"] for line in outcome.predictions[:100]]
    assert min(early.count(film.stem) for film in films) >= 30, "one film waits for the other"
    assert outcome.stream("vtest")["cache"] == {"depth": {"0": 1, "1": 1, "2": 118}, "resets": {}}
    hand_held_past = outcome.stream("box")["cache"]
    assert hand_held_past["resets"] == {}
    assert hand_held_past["depth"]["2"] >= 190


def test_a_film_plays_at_its_own_rate_if_asked(place: Path) -> None:
    film = str(write_video(place / "slow.mp4", frames=12, width=320, height=240, fps=4))
    paced, fast = {"id": "paced", "source": film, "pace": True}, {"id": "fast", "source": film}
    with Pipeline(place, *streams(paced, fast)) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    spans_s = {}
    for stream_id in ("paced", "fast"):
        check_complete(outcome, stream_id, 12)
        times = [line["capture_ns"] for line in outcome.predictions if line["stream_id"] == stream_id]
        media_s = [line["media_s"] for line in outcome.predictions if line["stream_id"] == stream_id]
        assert media_s == [number / 4 for number in range(12)], "the file's own time, however fast it plays"
        size = {"width_px": 320, "height_px": 240, "fps": 4.0}
        assert outcome.stream(stream_id)["source"] == {**size, "unpaced": stream_id == "fast"}
        spans_s[stream_id] = (times[-1] - times[1]) / 1e9  # the first one was read before the start
    assert spans_s["paced"] >= 10 / 4 - 0.1
    assert spans_s["fast"] < spans_s["paced"]


def test_the_cache_holds_consecutive_frames_and_a_gap_empties_it(place: Path) -> None:
    frames, at, fps = 30, 20, 10
    film = film_with_gap(place / "film.mp4", frames=frames, gap_at=at, gap_s=2, fps=fps)
    with Pipeline(place, "--source", str(film), "--pace", "--set", "history.spacing_ms=0") as run:
        run.wait_for_rendered("film", 1)
        heard = listen(run, {("film", frames - 1)})
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = check_complete(outcome, "film", frames)
    assert stream["cache"] == {"depth": {"0": 2, "1": 2, "2": frames - 4}, "resets": {"gap": 1}}
    since = [seq if seq < at else seq - at for seq in range(frames)]
    assert [line["depth"] for line in outcome.predictions] == [min(2, past) for past in since]
    assert at in {prediction.seq for prediction in heard}
    for prediction in heard:
        ago = list(range(min(2, since[prediction.seq]), 0, -1))  # the oldest first
        assert [frame.seq for frame in prediction.past] == [prediction.seq - back for back in ago]
        ages_ms = [frame.age_ms for frame in prediction.past]
        assert ages_ms == pytest.approx([1000 / fps * back for back in ago], abs=2)
        assert prediction.reset == ("gap" if prediction.seq == at else None)


def test_a_new_size_empties_the_cache(place: Path) -> None:
    frames, at = 12, 6
    folder = pictures_that_grow(place / "grows", frames=frames, grow_at=at)
    with Pipeline(place, "--source", str(folder), "--set", "history.spacing_ms=0") as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = check_complete(outcome, "grows", frames)
    assert [line["depth"] for line in outcome.predictions] == [0, 1, 2, 2, 2, 2] * 2
    assert [line["epoch"] for line in outcome.predictions] == [0] * at + [1] * (frames - at)
    assert stream["cache"]["resets"] == {"size": 1}


def listen(run: Pipeline, left: set[tuple[str, int]]) -> list[Prediction]:
    """Hears predictions of a run on the wire, until those of ``left`` (stream and ``seq``) have come."""
    (folder,) = run.run_folders()
    config = load_config()
    heard: list[Prediction] = []
    with PredictionReceiver(
        [f"ipc://{folder}/predictions"], config.wire, SecurityPolicy(config.security)
    ) as receiver:

        def hear() -> bool:
            for item in receiver.poll(0.1):
                if isinstance(item, ReceivedPrediction):
                    heard.append(item.prediction)
                    left.discard((item.prediction.stream_id, item.prediction.seq))
            return not left

        until(hear, "the last predictions", RUN_S)
    return heard


def check_complete(outcome: Outcome, stream_id: str, frames: int) -> dict[str, Any]:
    """All frames of a film were captured, predicted and shown, in order."""
    stream = outcome.stream(stream_id)
    numbers = [stream[key] for key in ("captured", "received", "predicted", "rendered", "backbone_passes")]
    assert numbers == [frames] * 5, outcome.told()
    assert stream["dropped"] == stream["not_predicted"] == stream["rendered_without_prediction"] == {}
    seqs = [line["seq"] for line in outcome.predictions if line["stream_id"] == stream_id]
    assert seqs == list(range(frames))
    return stream
