"""How a run ends when somebody ends it."""

import os
import signal
from pathlib import Path

import pytest

from tests.workers.films import camera_film
from tests.workers.pipeline import Pipeline, streams

FRAMES = 500


def live(place: Path) -> tuple[str, str]:
    """A film that behaves as a camera: it does not wait for anybody."""
    film = camera_film(place / "film.mp4", frames=FRAMES)
    return streams({"id": "cam", "source": str(film), "policy": "newest"})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_a_run_in_order(number: signal.Signals, place: Path) -> None:
    with Pipeline(place, *live(place)) as run:
        run.wait_for_overlays("cam", 5)
        if number == signal.SIGINT:
            os.killpg(run.process.pid, number)  # a terminal sends Ctrl-C to the workers as well
        else:
            run.signal(number)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    stream = outcome.stream("cam")
    assert 5 <= stream["rendered"] <= stream["captured"] < FRAMES
    with_prediction = stream["rendered"] - sum(stream["rendered_without_prediction"].values())
    assert 5 <= with_prediction <= len(outcome.predictions) <= stream["predicted"]
    assert {worker["restarts"] for worker in outcome.report["workers"].values()} == {0}
    assert " dropped" in outcome.out[outcome.out.index("Summary") :].splitlines()[-1], outcome.told()
    assert "UNACCOUNTED" not in outcome.out
    assert outcome.err == ""


def test_two_signals_end_a_run_at_once(place: Path) -> None:
    with Pipeline(place, *live(place)) as run:
        run.wait_for_rendered("cam", 5)
        os.kill(run.pid("sink"), signal.SIGSTOP)  # or the first one might have ended it already
        run.signal(signal.SIGINT)
        run.wait_for("stopping: finishing frames in flight")
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 130, outcome.told()
    assert "Traceback" not in outcome.out + outcome.err


def test_a_signal_before_the_workers_are_up(place: Path) -> None:
    with Pipeline(place, *live(place)) as run:
        run.wait_for("capture=starting")
        run.signal(signal.SIGHUP)  # of a terminal that is closed
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert "Traceback" not in outcome.out + outcome.err


@pytest.mark.parametrize("role", ["capture", "inference", "sink"])
def test_a_worker_that_was_stopped_ends_in_order_with_the_others(role: str, place: Path) -> None:
    # Long enough that whoever waits for it in vain is not done when the test gives up.
    with Pipeline(place, *live(place), "--set", "run.drain_timeout_s=100") as run:
        run.wait_for_overlays("cam", 5)
        os.kill(run.pid(role), signal.SIGSTOP)
        run.signal(signal.SIGINT)
        outcome = run.finish(timeout_s=60.0)
    assert outcome.code == 0, outcome.told()
    assert "did not stop" not in outcome.out
    assert not [reason for reason in outcome.stream("cam")["dropped"] if reason.endswith(".killed")]


def test_a_run_under_nohup_outlives_its_terminal(place: Path) -> None:
    run = Pipeline(place, *live(place))
    run.wrapper = ("nohup",)
    with run:
        run.wait_for_rendered("cam", 5)
        os.killpg(run.process.pid, signal.SIGHUP)
        run.wait_for_rendered("cam", run.stream("sink", "cam").rendered + 20)
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert {worker["restarts"] for worker in outcome.report["workers"].values()} == {0}
    outcome.stream("cam")
