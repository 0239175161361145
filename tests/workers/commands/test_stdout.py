"""``--predictions -``: standard output holds predictions and nothing else."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.video.clips import write_video
from tests.workers.pipeline import QUICK, Pipeline, quick_model
from tests.workers.program import PROGRAM, START_S, Outcome, Program, until

FRAMES = 5
RUN = ("--predictions", "-", "--headless", "--no-web", "--set", "sink.record=false", *QUICK)


def sequence(outcome: Outcome) -> list[int]:
    return [json.loads(line)["seq"] for line in outcome.out.splitlines()]


def test_standard_output_of_a_run_is_predictions_alone(place: Path) -> None:
    with Program(place, *RUN, "--frames", str(FRAMES)) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert sequence(outcome) == list(range(FRAMES))
    assert "all workers are ready" in outcome.err
    assert "Summary" in outcome.err
    assert not (run.folder / "-").exists()


@pytest.mark.slow
def test_a_restarted_sink_writes_to_the_same_standard_output(place: Path) -> None:
    frames = ("--frames", "90", "--set", "run.restart_backoff_s=[0.2]")
    with Pipeline(place, *frames, "--predictions", "-") as run:
        run.wait_for_rendered("demo", 20)
        run.kill("sink")
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert sequence(outcome)[-1] == 89


def test_standard_output_of_a_lone_sink_is_predictions_alone(place: Path) -> None:
    film = write_video(place / "film.mp4", frames=FRAMES, width=320, height=240)
    with (
        Program(place, "sink", *RUN[:6], name="sink") as sink,
        Program(place, "inference", *quick_model(), name="inference") as inference,
        Program(place, "capture", "--source", str(film), name="capture") as capture,
    ):
        assert capture.finish().code == 0
        until(lambda: sink.out.count("\n") == FRAMES, "all predictions", START_S)
        for program in (inference, sink):
            program.signal(signal.SIGINT)
        outcome = sink.finish()
    assert outcome.code == 0, outcome.told()
    assert sequence(outcome) == list(range(FRAMES))
    assert "sink: ready" in outcome.err


def test_closed_standard_output_is_a_readable_error(place: Path) -> None:
    shell = f'"{sys.executable}" "{PROGRAM}" sink --predictions - >&-'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (
        2,
        "error: standard output is closed: give a file instead of -\n",
    )
