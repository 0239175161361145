"""Files and cameras side by side: files share steps of inference, and neither kind waits for the other."""

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.wire.arrivals import ReceivedPrediction
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.receivers import PredictionReceiver
from tests.wire.peers import OPEN, QUICK, frame
from tests.wire.shared_helpers import capture
from tests.workers.pipeline import QUICK as QUICK_RUN
from tests.workers.program import START_S, Program, until

FILES = [f"file{number}" for number in range(6)]
CAMERAS = [f"camera{number}" for number in range(8)]


@contextlib.contextmanager
def worker(place: Path, *more: str) -> Iterator[tuple[FramePublisher, PredictionReceiver, Program]]:
    """An inference worker that listens to the test's frames, and whose predictions the test hears."""
    frames, predictions = f"ipc://{place}/frames", f"ipc://{place}/predictions"
    places = (f"endpoints.frames=['{frames}']", f"endpoints.predictions=['{predictions}']")
    with (
        FramePublisher(frames, QUICK, OPEN, capture(encoding="raw"), streams=len(CAMERAS)) as publisher,
        PredictionReceiver([predictions], QUICK, OPEN) as receiver,
        Program(place, "inference", "--set", places[0], "--set", places[1], *QUICK_RUN, *more) as inference,
    ):
        until(lambda: publisher.listeners()["inference"] == 1, "it listens", START_S, lambda: inference.out)
        yield publisher, receiver, inference


@pytest.mark.slow
def test_frames_of_many_files_share_their_steps(place: Path) -> None:
    """All of them wait while the worker stands still; each stream's ring holds two."""
    with worker(place) as (publisher, receiver, inference):
        os.kill(inference.process.pid, signal.SIGSTOP)
        for seq in range(2):
            for name in FILES:
                assert publisher.send_frame(frame(seq, "every", name, side=64), timeout_s=10.0)
        os.kill(inference.process.pid, signal.SIGCONT)
        steps: Counter[int] = Counter()

        def all_came() -> bool:
            steps.update(one.prediction.started_ns for one in taken(receiver))
            return steps.total() == 2 * len(FILES)

        until(all_came, "all predictions", START_S, lambda: f"{steps} {inference.out}")
    assert len(steps) <= 4, steps


@pytest.mark.slow
def test_cameras_that_keep_the_model_busy_leave_a_file_its_turns(place: Path) -> None:
    """One frame a step, and always newer ones of the cameras: each ninth step is the file's."""
    with worker(place, "--set", "inference.max_batch=1") as (publisher, receiver, inference):
        predicted: Counter[str] = Counter()
        seqs: Counter[str] = Counter()

        def enough() -> bool:
            for name in CAMERAS:
                publisher.send_frame(frame(seqs[name], "newest", name, side=64))
                seqs[name] += 1
            if publisher.send_frame(frame(seqs["file"], "every", "file", side=64)):
                seqs["file"] += 1
            predicted.update(one.prediction.stream_id for one in taken(receiver))
            return predicted.total() >= 100

        until(enough, "a hundred predictions", START_S, lambda: f"{predicted} {inference.out}")
    assert predicted["file"] >= 6, predicted


def test_a_camera_whose_predictions_are_late_leaves_a_file_its_room_in_the_sink(place: Path) -> None:
    """None come at all here, and frames wait for them: the ring of the camera is full, the file's is not."""
    frames = f"ipc://{place}/frames"
    patience = ("--set", "sink.sync_timeout_ms=60000", "--set", "run.output_dir=", "--set", QUICK_RUN[3])
    with (
        FramePublisher(frames, QUICK, OPEN, capture(encoding="raw"), streams=1) as publisher,
        Program(place, "sink", "--set", f"endpoints.frames=['{frames}']", *patience) as sink,
    ):
        until(lambda: publisher.listeners()["sink"] == 1, "it listens", START_S, lambda: sink.out)
        for seq in range(60):
            publisher.send_frame(frame(seq, "newest", "camera"), timeout_s=1.0)
            time.sleep(0.01)
        for seq in range(25):
            assert publisher.send_frame(frame(seq, "every", "file"), timeout_s=10.0), (seq, sink.out)


def taken(receiver: PredictionReceiver) -> list[ReceivedPrediction]:
    """The predictions that have come, without the ends of streams."""
    return [one for one in receiver.poll(0.003) if isinstance(one, ReceivedPrediction)]
