"""An inference worker as a program: what it is sent, and which models it runs, do not end it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from pipeline.base.clock import now_ns
from pipeline.base.config import load_config
from pipeline.base.frame import Frame, FrameId
from pipeline.model.checkpoint import save_checkpoint
from pipeline.wire.arrivals import ReceivedPrediction
from pipeline.wire.frame_publisher import FramePublisher
from pipeline.wire.receivers import PredictionReceiver
from tests.model.small import small
from tests.support import need_module
from tests.wire.peers import OPEN, QUICK, frame, packed
from tests.wire.shared_helpers import capture
from tests.wire.test_messages import changed
from tests.workers.pipeline import quick_model
from tests.workers.program import START_S, until
from tests.workers.test_batches import taken, worker
from workers.inference import InferenceWorker
from workers.inference_stream import InferenceStream
from workers.turn import Turn


@pytest.mark.slow
def test_a_network_with_several_scales_predicts_and_sends_no_attention(place: Path) -> None:
    path = place / "scales.safetensors"
    save_checkpoint(path, small(use_shared_weights=False, scales=("layer3", "layer4")))
    model = ("--set", f"inference.checkpoint={path}", "--set", "runtime.backend=torch")
    with worker(place, *model, "--set", "inference.attention=true") as (publisher, receiver, inference):
        for seq in range(3):
            assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
        got = []
        until(lambda: got.extend(taken(receiver)) or len(got) == 3, "three", START_S, lambda: inference.out)
    assert [one.attention for one in got] == [None] * 3


@pytest.mark.slow
@pytest.mark.parametrize("motion", [True, False])
def test_a_network_with_dense_motion_sends_things_and_another_none(motion: bool, place: Path) -> None:
    path = place / "motion.safetensors"
    save_checkpoint(path, small(motion=motion))
    model = ("--set", f"inference.checkpoint={path}", "--set", "runtime.backend=torch")
    with worker(place, *model) as (publisher, receiver, inference):
        for seq in range(3):
            spaced = replace(frame(seq, "every"), capture_ns=10**9 + seq * 10**8)
            assert publisher.send_frame(spaced, timeout_s=10.0)
        got = []
        until(lambda: got.extend(taken(receiver)) or len(got) == 3, "three", START_S, lambda: inference.out)
    assert [one.prediction.things for one in got] == [[] if motion else None] * 3
    assert [one.prediction.camera is not None for one in got] == [False, motion, motion]


@pytest.mark.slow
def test_a_picture_that_stands_still_is_asked_about_until_its_past_does_too(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five times the same, then another: with two past frames the fourth and fifth would say it again."""
    checkpoint = place / "motion.safetensors"
    save_checkpoint(checkpoint, small(motion=True))
    frames, predictions = f"ipc://{place}/frames", f"ipc://{place}/predictions"
    settings = [f"inference.checkpoint={checkpoint}", "runtime.backend=torch", "history.spacing_ms=0"]
    places = [f"endpoints.frames=['{frames}']", f"endpoints.predictions=['{predictions}']"]
    inference = InferenceWorker(load_config(None, [*settings, *places]), "inference")
    got: list[ReceivedPrediction] = []
    with (
        inference.resources,
        FramePublisher(frames, QUICK, OPEN, capture(encoding="raw"), streams=1) as publisher,
        PredictionReceiver([predictions], QUICK, OPEN) as receiver,
    ):
        inference.open()
        steps = Mock(wraps=inference.runtime.infer)
        monkeypatch.setattr(inference.runtime, "infer", steps)

        def show(seq: int, grey: int) -> None:
            image = np.full((64, 64, 3), grey, np.uint8)
            sent = Frame(FrameId("door", 1, 0, seq), image, capture_ns=seq + 1, policy="every")
            assert publisher.send_frame(sent, timeout_s=10.0)
            until(
                lambda: (inference.tick(0.01) and got.extend(taken(receiver))) or len(got) > seq,
                "answered",
                9,
            )

        until(lambda: inference.tick(0.01) and publisher.listeners()["inference"], "it listens", START_S)
        for seq, grey in enumerate((9, 9, 9, 9, 9, 200)):
            show(seq, grey)
    assert steps.call_count == 4
    counted = inference.stats.streams["door"]
    assert (counted.predicted, counted.reused, counted.backbone_passes) == (6, 4, 2)
    assert got[3].prediction.top == got[4].prediction.top != got[5].prediction.top
    assert [len(one.prediction.past) for one in got] == [0, 1, 2, 2, 2, 2]


@dataclass
class TakesOver:
    """An inference worker that begins with a stream which has sent five frames already, 100 ms apart."""

    inference: InferenceWorker
    publisher: FramePublisher
    receiver: PredictionReceiver
    began_ns: int

    def send(self, seq: int) -> None:
        image = np.full((64, 64, 3), seq, np.uint8)
        at_ns = self.began_ns + seq * 10**8
        assert self.publisher.send_frame(Frame(FrameId("door", 1, 0, seq), image, capture_ns=at_ns))

    def wait_for_past(self, tick: Callable[[], object]) -> InferenceStream:
        """The stream, once what capture sends again is there."""

        def is_there() -> object:
            self.publisher.send_again()
            tick()
            stream = self.inference.streams.get("door")
            return stream and stream.again.expected

        until(is_there, "the past is there", START_S)
        return self.inference.streams["door"]


@pytest.fixture
def takes_over(place: Path) -> Iterator[TakesOver]:
    checkpoint = place / "motion.safetensors"
    save_checkpoint(checkpoint, small(motion=True))
    frames, predictions = f"ipc://{place}/frames", f"ipc://{place}/predictions"
    settings = [f"inference.checkpoint={checkpoint}", "runtime.backend=torch"]
    places = [f"endpoints.frames=['{frames}']", f"endpoints.predictions=['{predictions}']"]
    inference = InferenceWorker(load_config(None, [*settings, *places]), "inference")
    kept = capture(encoding="raw", replay_ms=1000.0)
    with (
        inference.resources,
        FramePublisher(frames, QUICK, OPEN, kept, streams=1) as publisher,
        PredictionReceiver([predictions], QUICK, OPEN) as receiver,
    ):
        inference.open()
        run = TakesOver(inference, publisher, receiver, now_ns() - 5 * 10**8)
        for seq in range(5):
            run.send(seq)
        until(lambda: inference.publisher.listeners()["sink"], "the sink listens", START_S)
        assert inference.tick(0.0)
        yield run


@pytest.mark.slow
def test_the_past_of_a_stream_that_it_takes_over_is_computed_before_the_next_frame_is_there(
    takes_over: TakesOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, inference = takes_over, takes_over.inference
    steps = Mock(wraps=inference.runtime.infer)
    monkeypatch.setattr(inference.runtime, "infer", steps)
    stream = run.wait_for_past(lambda: inference._receive(0.01))
    until(lambda: inference.tick(0.01) and not stream.again.expected, "it is computed", START_S)
    assert sum(len(call.args[0]) for call in steps.call_args_list) == 2
    assert (stream.stats.rebuilt, stream.stats.predicted) == (0, 0)
    steps.reset_mock()
    run.send(5)
    got: list[ReceivedPrediction] = []
    until(lambda: inference.tick(0.01) and (got.extend(taken(run.receiver)) or got), "answered", START_S)
    assert [past.seq for past in got[0].prediction.past] == [3, 4]
    assert steps.call_count == 1, "but for its own step nothing was left to be computed"
    counted = stream.stats
    assert (counted.rebuilt, counted.predicted, counted.backbone_passes, counted.received) == (2, 1, 1, 1)


@pytest.mark.slow
def test_a_frame_that_joins_a_step_of_others_has_its_past_too(takes_over: TakesOver) -> None:
    """It comes while that step waits for it: its past is there, and not computed yet."""
    run, inference = takes_over, takes_over.inference
    stream = run.wait_for_past(lambda: inference._receive(0.01))
    run.send(5)
    until(lambda: inference._receive(0.01) or stream.is_ready, "it is there", START_S)
    turns = inference._next_turns({"other": Turn(frame(0, stream_id="other"), [None, None], None, None)})
    assert [slot.key.id.seq for slot in turns["door"].past] == [3, 4]


@pytest.mark.slow
def test_streams_of_two_aspects_keep_theirs_in_one_worker(place: Path) -> None:
    path = place / "motion.safetensors"
    save_checkpoint(path, small(motion=True))
    model = ("--set", f"inference.checkpoint={path}", "--set", "runtime.backend=torch")
    pictures = {"wide": (90, 120), "tall": (120, 90), "square": (100, 100)}
    with worker(place, *model, "--set", "inference.longer_side_px=128") as (publisher, receiver, inference):
        for seq in range(3):
            for name, shape in pictures.items():
                image = np.full((*shape, 3), seq, np.uint8)
                sent = Frame(FrameId(name, 1, 0, seq), image, capture_ns=1000 + seq, policy="every")
                assert publisher.send_frame(sent, timeout_s=20.0)
        got = []
        until(lambda: got.extend(taken(receiver)) or len(got) == 9, "nine", START_S, lambda: inference.out)
    layouts = {one.prediction.stream_id: one.prediction.attention for one in got}
    grids = {name: (header.rows, header.columns) for name, header in layouts.items() if header}
    assert grids == {"wide": (3, 4), "tall": (4, 3), "square": (4, 4)}
    assert "preparing the model for images of 96x128 px" in inference.out


@pytest.mark.slow
def test_on_openvino_it_starts_and_predicts_without_torch_once_its_step_is_prepared(place: Path) -> None:
    need_module("openvino", "openvino")
    model = (*quick_model(), "--set", "runtime.backend=openvino")
    for _ in range(2):  # the first may have to prepare it
        with worker(place, *model) as (publisher, receiver, inference):
            assert publisher.send_frame(frame(0, "every"), timeout_s=10.0)
            until(lambda receiver=receiver: taken(receiver), "one", START_S, lambda run=inference: run.out)
            loaded = Path(f"/proc/{inference.process.pid}/maps").read_text()
            prepared = "preparing for openvino" in inference.out
        assert "libopenvino" in loaded
        assert ("libtorch" in loaded) == prepared
    assert not prepared


@pytest.mark.slow
def test_frames_with_a_number_out_of_range_do_not_end_it(place: Path) -> None:
    with worker(place) as (publisher, receiver, inference):
        got: list[ReceivedPrediction] = []

        def comes(seq: int) -> bool:
            got.extend(taken(receiver))
            return len(got) > seq

        for seq, field in enumerate(("seq", "skipped", "session", "capture_ns")):
            assert publisher.send(changed(packed(0, "every"), field, 2**64 - 1), timeout_s=10.0)
            assert publisher.send_frame(frame(seq, "every"), timeout_s=10.0)
            until(partial(comes, seq), field, START_S, lambda: inference.out)
            assert inference.process.poll() is None, field
    assert [one.prediction.seq for one in got] == [0, 1, 2, 3]
