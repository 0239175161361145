"""The memory of a stream that goes to another worker: it changes nothing, and no other is taken."""

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import av
import msgspec
import numpy as np
import pytest

from pipeline.account.stats import WorkerStats
from pipeline.base.config import Config, load_config
from pipeline.base.frame import Frame, FrameId, Image
from pipeline.flow.age_limit import AgeLimit
from pipeline.flow.unchanged import KeptBytes
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from pipeline.runtime.step import Part
from pipeline.scene.home import Home
from pipeline.wire import encoding
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.decoding import decode_message
from pipeline.wire.memory import MemoryBudget
from pipeline.wire.messages import FrameHeader
from tests.model.small import small
from tests.support import people_walking
from workers.hand_over import HandOverError, Maker, pack_memory, unpack_memory
from workers.inference_scene import Scene
from workers.inference_stream import InferenceStream
from workers.standby import Standby

CONFIG = load_config()
MAKER = Maker("digest", "torch", "fp32")


def received(image: Image, seq: int, at_ms: float) -> ReceivedFrame:
    at_ns = 10**18 + round(at_ms * 1e6)
    frame = Frame(FrameId("gate", 7, 0, seq), image, at_ns, policy="newest")
    parts = encoding.encode_frame(frame, "raw", 90, at_ns)
    header = decode_message(parts, 2**27)
    assert isinstance(header, FrameHeader)
    return ReceivedFrame(header, parts[2], at_ns, MemoryBudget(1024.0))


@dataclass
class Worker:
    """A stream in one worker, without its sockets."""

    runtime: Runtime
    config: Config = CONFIG
    stats: WorkerStats = field(default_factory=lambda: WorkerStats("inference", "inference", 1, "host", 1))

    def __post_init__(self) -> None:
        self.home = Home({})
        self.stream = InferenceStream(
            "gate",
            self.config,
            self.runtime.num_past,
            AgeLimit(1e12),
            self.stats,
            print,
            KeptBytes(2**20),
            self.home,
            generation=1,
        )

    def see(self, frame: ReceivedFrame) -> tuple[Any, Scene]:
        """Probabilities and attention of a frame, and its scene."""
        self.stream.take(frame)
        turn = self.stream.next(frame.header.capture_ns)
        assert turn is not None
        step = self.runtime.infer([turn.frame.image], [turn.entries], want_attention=True)
        (result,), (memory,) = step.results, step.remember()
        scene = self.stream.look(turn, result.motion)
        self.stream.count(turn, "label", scene, frame.received_ns, frame.received_ns)
        self.stream.remember(turn, result, memory, 1)
        if self.home.is_due(turn.frame.time_ns):
            keys = self.runtime.match_keys(memory.entry)
            assert keys is not None
            self.home.look(turn.frame.id, keys, turn.frame.aspect, turn.frame.time_ns)
        return result, scene

    def moved(self) -> "Worker":
        """Another worker that has taken the memory of this one."""
        packed = pack_memory(MAKER, "gate", 1, self.stream.hand_over(self.runtime))
        other = Worker(self.runtime, self.config)
        other.stream.take_over(unpack_memory(packed, MAKER, "gate"), self.runtime)
        return other


def walkers(count: int) -> list[ReceivedFrame]:
    """Of a real clip of ten frames a second."""
    with av.open(people_walking()) as film:
        images = [frame.to_ndarray(format="bgr24") for frame in islice(film.decode(video=0), count)]
    return [received(image, seq, 100.0 * seq) for seq, image in enumerate(images)]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_after_a_move_everything_is_seen_as_without_it(backend: str) -> None:
    """Labels, attention, things and their ids, the camera and the reference view, of a real clip."""
    runtime = open_runtime("motion_resnet18", Options(device="cpu", threads=1), backend=backend)
    frames = walkers(45)
    stays, goes = Worker(runtime), Worker(runtime)
    seen = set()
    for number, frame in enumerate(frames):
        if number in (1, 2, 20, 38):
            goes = goes.moved()
        (expected, scene), (result, moved) = stays.see(frame), goes.see(frame)
        assert result.depth == expected.depth == min(number, runtime.num_past)
        np.testing.assert_allclose(result.probabilities, expected.probabilities, atol=1e-3)
        assert result.attention is not None
        assert expected.attention is not None
        np.testing.assert_allclose(result.attention, expected.attention, atol=1e-3)
        assert [thing.id for thing in moved.things or ()] == [thing.id for thing in scene.things or ()]
        for thing, other in zip(moved.things or (), scene.things or (), strict=True):
            np.testing.assert_allclose(thing.box, other.box, atol=1e-3)
            assert thing.age_ms == other.age_ms
            assert thing.speed == pytest.approx(other.speed, abs=1e-3)
        assert (moved.camera is None) == (scene.camera is None)
        assert (moved.sight is None) == (scene.sight is None)
        if moved.sight and scene.sight:
            assert moved.sight.taken_ns == scene.sight.taken_ns
            np.testing.assert_allclose(moved.sight.offset, scene.sight.offset, atol=1e-3)
        seen |= {thing.id for thing in moved.things or ()}
    assert len(seen) >= 2, "something moves in the clip"
    assert scene.sight is not None
    assert goes.stream.stats.resets == {}


def test_without_its_memory_a_stream_begins_anew() -> None:
    """So that the test above could fail."""
    runtime = small_runtime()
    frames = [received(np.full((64, 64, 3), seq, np.uint8), seq, 100.0 * seq) for seq in range(4)]
    first, second = Worker(runtime), Worker(runtime)
    for frame in frames[:3]:
        first.see(frame)
    assert second.see(frames[3])[0].depth == 0
    assert first.moved().see(frames[3])[0].depth == 2


def test_a_stream_that_is_moved_on_before_anything_came_loses_neither_its_place_nor_its_memory() -> None:
    runtime = small_runtime()
    frames = [received(np.full((64, 64, 3), seq, np.uint8), seq, 100.0 * seq) for seq in range(4)]
    owner = Worker(runtime)
    for frame in frames[:3]:
        owner.see(frame)
    for _ in range(2):
        handed, owner = owner.stream.hand_over(runtime), Worker(runtime)
        assert handed.place
        assert handed.place.last == frames[2].header.id
        owner.stream.take_over(handed, runtime)
        standby = Standby(2, 2, 0)
        standby.take(frames[2])
        owner.stream.begin(standby, handed)
        assert not owner.stream.is_busy, "the frame was dealt with"
    assert owner.see(frames[3])[0].depth == 2
    assert owner.stream.stats.not_predicted == {}


@pytest.mark.parametrize("motion", [True, False])
def test_what_does_not_fit_the_runtime_is_refused(motion: bool) -> None:
    """Another precision, another network, another picture size, numbers that are none."""
    runtime = small_runtime(motion=motion)
    worker = Worker(runtime)
    for seq in range(3):
        worker.see(received(np.full((64, 64, 3), seq, np.uint8), seq, 100.0 * seq))
    handed = worker.stream.hand_over(runtime)
    (*_, last) = handed.frames
    for frame in (
        {"size": (32, 64)},
        {"parts": last.parts[:1]},
        {"parts": [_halved(last.parts[0]), *last.parts[1:]]},
    ):
        wrong = msgspec.structs.replace(handed, frames=[msgspec.structs.replace(last, **frame)])
        with pytest.raises(ValueError, match=r"cached by another model|no engine is open"):
            Worker(runtime).stream.take_over(wrong, runtime)
    poisoned = last.parts[0]._replace(data=np.full(last.parts[0].shape, np.nan, np.float32).tobytes())
    wrong = msgspec.structs.replace(last, parts=[poisoned, *last.parts[1:]])
    with pytest.raises(ValueError, match="non-finite"):
        Worker(runtime).stream.take_over(msgspec.structs.replace(handed, frames=[wrong]), runtime)
    with pytest.raises(ValueError, match="not the content of a history"):
        Worker(runtime).stream.take_over(msgspec.structs.replace(handed, frames=[last, last]), runtime)


def _halved(part: Part) -> Part:
    values = np.frombuffer(part.data, np.float32).astype(np.float16)
    return Part("float16", part.shape, values.tobytes())


def small_runtime(**options: Any) -> Runtime:
    return open_torch(
        small(**{"motion": True, **options}), Options(device="cpu", precision="fp32", threads=1)
    )


def test_what_is_damaged_or_foreign_is_refused_in_one_line() -> None:
    runtime = small_runtime()
    packed = pack_memory(MAKER, "gate", 1, Worker(runtime).stream.hand_over(runtime))
    assert unpack_memory(packed, MAKER, "gate").place is None
    refused = {
        "another checkpoint: digest, here other": (packed, Maker("other", "torch", "fp32"), "gate"),
        "another backend: torch, here openvino": (packed, Maker("digest", "openvino", "fp32"), "gate"),
        "another precision: fp32, here bf16": (packed, Maker("digest", "torch", "bf16"), "gate"),
        "it belongs to gate": (packed, MAKER, "yard"),
        "it is damaged": (packed[:-1] + b"x", MAKER, "gate"),
        "it is damaged ": (packed[:-5], MAKER, "gate"),
        "another format or version": (b"\x80\x04\x95pickle", MAKER, "gate"),
        "another format or version ": (b"", MAKER, "gate"),
    }
    for why, arguments in refused.items():
        with pytest.raises(HandOverError, match=why.strip()) as error:
            unpack_memory(*arguments)
        assert "\n" not in str(error.value)


def test_what_waits_from_the_start_tells_the_next_owner_where_it_begins() -> None:
    """Nothing was predicted yet; without a place nobody would count what the next owner never gets."""
    runtime = small_runtime()
    frames = [received(np.full((64, 64, 3), seq, np.uint8), seq, 100.0 * seq) for seq in range(4)]
    former, owner = Worker(runtime), Worker(runtime)
    former.stream.take(frames[0])
    handed = former.stream.hand_over(runtime)
    assert handed.place
    assert handed.place.last == frames[0].header.id
    assert former.stream.stats.not_predicted == {"inference.stopped": 1}
    owner.stream.generation = 1
    owner.stream.take_over(handed, runtime)
    owner.stream.begin(Standby(1, 2, 0), handed)
    owner.see(frames[3])
    assert owner.stream.stats.not_predicted == {"inference.stopped": 2}
