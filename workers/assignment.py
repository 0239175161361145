"""Streams that are assigned to an inference worker over HTTP: taking, releasing and handing over."""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from pipeline.account.stats import MOST_STREAMS
from pipeline.base.clock import now_ns
from pipeline.base.config import Config
from pipeline.base.ranges import FrameCount
from pipeline.base.text import StreamId
from pipeline.flow.load_meter import LoadMeter
from pipeline.runtime.base import Runtime
from pipeline.view.web.verbs import Asked, Done, Verb, VerbError
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.publisher import Publisher
from workers.hand_over import (
    MOST_BYTES,
    HandedStream,
    HandOverError,
    Maker,
    pack_memory,
    unpack_memory,
)
from workers.inference_stream import InferenceStream
from workers.standby import Standby

_ARRIVES_S = 2.0
"""Longest wait for the first frame of a stream on standby; if frames are further apart, some may be lost."""
_ENDS_S = 2.0
"""Longest wait for unfinished frames, and for the sink to receive their predictions."""
_STANDBY_NS = 60_000_000_000
"""Longer than the timeouts of ``DELETE`` at the former owner: ``verbs.BEGIN_S`` and ``END_S``."""
_DROPS = ("inference.overflow", "inference.too_old", "wire.lost", "wire.overwritten")
"""Drop reasons caused by lack of time."""

Standing = Literal["standby", "owned"]


class Worker(Protocol):
    """The part of the inference worker that is used here."""

    config: Config
    runtime: Runtime
    publisher: Publisher
    streams: dict[str, InferenceStream]
    standby: dict[str, Standby]
    load: LoadMeter

    @property
    def receiver(self) -> FrameReceiver | None:
        """The receiver of frames; None until another worker receives the predictions."""

    @property
    def name(self) -> str:
        """The worker's name."""

    def event(self, text: str) -> None:
        """Reports a human-readable event."""

    def add_stream(self, stream_id: str, generation: int) -> InferenceStream:
        """Starts predicting a stream."""

    def drop_stream(self, stream_id: str) -> None:
        """Removes a stream."""

    def prepare(self, height: int, width: int) -> None:
        """Prepares the model for images of that size."""

    def turn(self, timeout_s: float) -> None:
        """Runs other work for at most ``timeout_s`` seconds."""


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    stream_id: StreamId
    generation: FrameCount
    state: Standing
    replay: bool = False


class Assignment:
    """Carries out HTTP requests between two ticks of a worker.

    Args:
        worker: The worker.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._generations: dict[str, int] = {}
        self._maker: Maker | None = None

    def verbs(self) -> list[Verb]:
        """The HTTP operations."""
        one = "/streams/{stream_id}"
        return [
            Verb("GET", "/streams", self._list),
            Verb("GET", "/load", self._tell_load),
            Verb("POST", "/streams", self._begin),
            Verb("DELETE", one, self._leave),
            Verb("PUT", one, self._take_over, most_bytes=MOST_BYTES),
        ]

    def give_up_standby(self) -> None:
        """Releases streams that stay on standby too long, whose frames would otherwise wait indefinitely."""
        worker = self._worker
        for stream_id, standby in list(worker.standby.items()):
            if now_ns() > standby.until_ns:
                self._drop_standby(stream_id)
                worker.event(
                    f"{stream_id}: released: on standby for {_STANDBY_NS / 1e9:g} s without being assigned"
                )

    # -- verbs -------------------------------------------------------------------------------------

    def _list(self, _: Asked) -> Done:
        worker = self._worker
        owned = [_told(name, one.generation, "owned") for name, one in worker.streams.items()]
        standby = [_told(name, one.generation, "standby") for name, one in worker.standby.items()]
        return Done({"streams": sorted(owned + standby, key=lambda told: str(told["stream_id"]))})

    def _tell_load(self, _: Asked) -> Done:
        worker, now = self._worker, now_ns()
        streams = {
            name: {"generation": one.generation, **worker.load.of(name, now)._asdict()}
            for name, one in worker.streams.items()
        }
        busy = round(worker.load.busy(now), 4)
        return Done({"worker": worker.name, "busy": busy, "streams": streams})

    def _begin(self, asked: Asked) -> Done:
        wanted, worker = asked.read(_Wanted), self._worker
        if not worker.config.inference.assigned:
            raise VerbError(
                409, "this worker takes its streams from the configuration: set inference.assigned=true"
            )
        receiver, stream_id = self._receiver(), wanted.stream_id
        if wanted.generation < (known := self._generations.get(stream_id, 0)):
            raise VerbError(
                409, f"{stream_id}: generation {wanted.generation} is outdated: {known} is known here"
            )
        is_new = stream_id not in worker.streams and stream_id not in worker.standby
        if is_new and len(worker.streams) + len(worker.standby) >= MOST_STREAMS:
            raise VerbError(409, f"this worker already has {MOST_STREAMS} streams")
        told = _told(stream_id, wanted.generation, wanted.state)
        if stream_id in worker.streams:
            if wanted.state == "standby":
                raise VerbError(409, f"{stream_id} is owned here: delete it first")
            worker.streams[stream_id].generation = wanted.generation
        elif wanted.state == "owned":
            receiver.begin(stream_id, replay=wanted.replay)
            self._own(stream_id, wanted.generation, None)
        elif stream_id in worker.standby:
            worker.standby[stream_id].generation = wanted.generation
        else:
            until_ns = now_ns() + _STANDBY_NS
            standby = Standby(wanted.generation, worker.config.inference.ring_frames, until_ns)
            worker.standby[stream_id] = standby
            receiver.begin(stream_id)
            self._wait(lambda: standby.has_begun, _ARRIVES_S)
        self._note(stream_id, wanted.generation)
        return Done(told, 201 if is_new else 200)

    def _leave(self, asked: Asked) -> Done:
        stream_id, worker = asked.stream_id, self._worker
        generation = asked.generation
        if standby := worker.standby.get(stream_id):
            _check_generation(stream_id, standby.generation, generation)
            self._drop_standby(stream_id)
            return Done()
        stream = worker.streams.get(stream_id)
        if stream is None or not worker.config.inference.assigned:
            raise VerbError(404, f"{stream_id} is not assigned to this worker")
        _check_generation(stream_id, stream.generation, generation)
        receiver, asked_ns = self._receiver(), now_ns()

        def is_caught_up() -> bool:
            # frames sent before the next owner subscribed are only in this worker's queue
            return stream.has_end or stream.has_taken_since(asked_ns) or not receiver.has_waiting

        in_time = self._wait(is_caught_up, _ENDS_S)
        receiver.leave(stream_id)
        in_time &= self._wait(lambda: not stream.is_busy and not stream.has_end, _ENDS_S)
        if not in_time:
            worker.event(
                f"{stream_id}: released with unfinished frames: inference is slow, or the sink does not "
                "receive its predictions"
            )
        worker.drop_stream(stream_id)  # after this, nothing more is sent for it
        for lane in ("newest", "every"):  # otherwise the next owner's could overtake them
            worker.publisher.settle(lane, _ENDS_S, lambda: worker.turn(0.01))
        handed = stream.hand_over(worker.runtime)
        if handed.place is None:
            return Done()
        return Done(pack_memory(self._made_by(), stream_id, generation, handed))

    def _take_over(self, asked: Asked) -> Done:
        stream_id, worker = asked.stream_id, self._worker
        standby = worker.standby.get(stream_id)
        if standby is None:
            raise VerbError(404, f"{stream_id} is not on standby here")
        _check_generation(stream_id, standby.generation, asked.generation)
        handed, memory = None, "none"
        if asked.body:
            try:
                handed, memory = unpack_memory(asked.body, self._made_by(), stream_id), "taken"
            except HandOverError as error:
                memory = f"refused: {error}"
        if refusal := self._own(stream_id, standby.generation, handed):
            memory = f"refused: {refusal}"
        if memory.startswith("refused"):
            worker.event(f"{stream_id}: starts without memory ({memory})")
        return Done({**_told(stream_id, standby.generation, "owned"), "memory": memory})

    # -- helpers -----------------------------------------------------------------------------------

    def _own(self, stream_id: str, generation: int, handed: HandedStream | None) -> str:
        """Takes ownership of a stream; returns why its handed-over cache can't be used, empty if it can."""
        worker, refusal = self._worker, ""
        stream = worker.add_stream(stream_id, generation)
        if handed:
            try:
                if handed.frames and handed.place:
                    worker.prepare(*handed.place.sent)
                stream.take_over(handed, worker.runtime)
            except ValueError as error:
                refusal = str(error)
                stream = worker.add_stream(stream_id, generation)
        if standby := worker.standby.pop(stream_id, None):
            stream.begin(standby, handed)
        return refusal

    def _drop_standby(self, stream_id: str) -> None:
        del self._worker.standby[stream_id]
        self._receiver().leave(stream_id)

    def _receiver(self) -> FrameReceiver:
        if (receiver := self._worker.receiver) is None:
            raise VerbError(503, "waiting for the sink to connect: see inference.wait_for")
        return receiver

    def _made_by(self) -> Maker:
        if self._maker is None:
            self._maker = Maker.of(self._worker.runtime, self._worker.config.inference.checkpoint)
        return self._maker

    def _note(self, stream_id: str, generation: int) -> None:
        self._generations.pop(stream_id, None)
        self._generations[stream_id] = generation
        while len(self._generations) > MOST_STREAMS:
            del self._generations[next(iter(self._generations))]

    def _wait(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        """Runs other work until ``is_done`` or the timeout; returns whether it is done."""
        until_ns = now_ns() + int(timeout_s * 1e9)
        while not (done := is_done()) and now_ns() < until_ns:
            self._worker.turn(0.01)
        return done


def drops(not_predicted: dict[str, int]) -> int:
    """Number of frames without a prediction that were dropped for lack of time."""
    return sum(not_predicted.get(reason, 0) for reason in _DROPS)


def _told(stream_id: str, generation: int, state: Standing) -> dict[str, str | int]:
    return {"stream_id": stream_id, "generation": generation, "state": state}


def _check_generation(stream_id: str, here: int, asked: int) -> None:
    if here != asked:
        raise VerbError(409, f"{stream_id} is at generation {here} here, not at {asked}")
