"""The inference worker: one backbone pass for each new frame; the past comes from the streams' caches."""

import time
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.account.stats import StreamStats
from pipeline.base.clock import now_ns
from pipeline.base.errors import WireError
from pipeline.base.frame import Frame, FrameId
from pipeline.base.roles import Listener
from pipeline.flow.batching import BatchWindow
from pipeline.flow.freshness.ages import AgeLog
from pipeline.flow.gaps import GapTracker
from pipeline.flow.ring import Ring
from pipeline.flow.unchanged import LastPicture
from pipeline.model.device import DeviceError
from pipeline.model.shipped import CheckpointError
from pipeline.model.state import StreamHistory
from pipeline.runtime.base import Memory, Result, Runtime
from pipeline.runtime.exported.quantise import Film
from pipeline.runtime.open_runtime import open_runtime
from pipeline.wire.codec import Part, encode_end, encode_prediction
from pipeline.wire.messages import AttentionHeader, EndOfStream, Feedback, PastFrame, Prediction
from pipeline.wire.transport import SMALL_QUEUE, FrameReceiver, Publisher, ReceivedFrame
from workers.base import REMIND_NS, Worker, WorkerError
from workers.model_check import wrong_checkpoint
from workers.roles import bound_endpoint, connected_endpoints

_RETRY_S = 0.002
"""Between two tries to send to a peer whose queue is full."""
_TELL_S = 0.25
"""Longest time between two words to capture on the age of predictions, however rare the figures are."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What is kept of a frame beside its keys and values."""

    id: FrameId
    truth: str | None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A frame that waits for its step, and why it can't go on from the frames before it."""

    received: ReceivedFrame
    reset: str | None


@dataclass
class _Stream:
    """One stream: frames that wait, what is remembered, what has to go out.

    ``reset`` was announced by frames that were let go since: it holds for the next one.
    """

    ring: Ring[_Waiting]
    history: StreamHistory[_Remembered]
    picture: LastPicture[Memory]
    gaps: GapTracker = field(default_factory=GapTracker)
    reset: str | None = None
    waits: bool = False  # for room; frames of a camera push older ones out
    last_time_ns: int | None = None
    session: int = 0
    ages: AgeLog = field(default_factory=AgeLog)
    ended: EndOfStream | None = None
    finished: bool = False
    outbox: list[Part] | None = None


class InferenceWorker(Worker):
    """Takes frames, groups those of several streams into one step, sends predictions."""

    role: ClassVar[Listener] = "inference"

    def open(self) -> None:
        """Loads the model, warms it up, then listens for frames."""
        config = self.config
        try:
            self._runtime: Runtime = open_runtime(
                config.inference.checkpoint,
                backend=config.runtime.backend,
                device=config.inference.device,
                precision=config.inference.precision,
                threads=config.inference.threads,
                provider=config.runtime.provider,
                film=_film_motions,
                graphs=config.runtime.cuda_graphs,
                say=partial(print, flush=True),
            )
        except DeviceError as error:
            raise WorkerError(str(error)) from error
        except CheckpointError as error:
            raise wrong_checkpoint(error) from error
        self._most = config.inference.max_batch or self._runtime.most_streams
        self._runtime.warm_up(min(max(len(config.streams), 1), self._most))
        self.figures.details = {"runtime": self._runtime.describe(), "model": self._runtime.describe_model()}
        self._streams: dict[str, _Stream] = {}
        self._window = BatchWindow(config.inference.batch_window_ms)
        self._publisher = Publisher(
            bound_endpoint(self.role, config.endpoints), config.wire, self.security, queue=SMALL_QUEUE
        )
        self._receiver: FrameReceiver | None = None
        self._reminded_ns = now_ns()

    def tick(self, timeout_s: float) -> bool:
        """Takes in what has arrived and runs one step on the frames whose turn it is."""
        if self._receiver is None and not self._listen(timeout_s):
            return True
        if any(stream.outbox for stream in self._streams.values()):
            timeout_s = min(timeout_s, _RETRY_S)
        waiting = any(len(stream.ring) and not stream.outbox for stream in self._streams.values())
        self._receive(0.0 if waiting else timeout_s)
        batch = self._next_batch([])
        if batch:
            self._step(self._wait_for_others(batch))
        for stream_id, stream in self._streams.items():
            self._flush(stream)
            self._tell_ages(stream_id, stream)
            self._pass_on_end(stream_id, stream)
        return True

    def finish(self, deadline_ns: int) -> None:
        """Predicts the frames that it already has, then says what was left."""
        while now_ns() < deadline_ns and any(len(s.ring) or s.outbox for s in self._streams.values()):
            self.tick(0.0)
            self.publish_stats_if_due()
        for stream_id, stream in self._streams.items():
            self.figures.stream(stream_id).skip("inference.stopped", len(stream.ring))

    def close(self) -> None:
        """Gives the sockets back."""
        if receiver := getattr(self, "_receiver", None):
            receiver.close()
        if publisher := getattr(self, "_publisher", None):
            publisher.close(linger_s=self.linger_s)

    # -- frames in ---------------------------------------------------------------------------------

    def _listen(self, timeout_s: float) -> bool:
        """Connects to capture once somebody hears the predictions: earlier ones would be lost."""
        config, listeners = self.config, self._publisher.listeners()
        absent = [role for role in config.inference.wait_for if not listeners[role]]
        if not absent:
            (frames,) = connected_endpoints(self.role, config.endpoints)
            self._receiver = FrameReceiver(frames, self.role, config.wire, self.security)
            return True
        if now_ns() - self._reminded_ns > REMIND_NS:
            self._reminded_ns = now_ns()
            refused = self._publisher.refused_lately()
            self.event(f"waiting for {' and '.join(absent)} to connect (inference.wait_for){refused}")
        time.sleep(min(timeout_s, 0.02))
        return False

    def _receive(self, timeout_s: float) -> None:
        """Takes all newest frames, and every-frame ones until a stream of theirs has no room left."""
        assert self._receiver is not None
        more = True
        while more:
            received = self._receiver.poll(timeout_s, max_every=self._room())
            for one in received:
                if isinstance(one, EndOfStream):
                    self._end(one)
                else:
                    self._take(one)
            more = any(isinstance(one, ReceivedFrame) and one.header.policy == "every" for one in received)
            timeout_s = 0.0
        for reject in self._receiver.rejects.pop_reports():
            self.event(reject)

    def _room(self) -> int:
        """How many every-frame messages can be taken, whichever stream they are of."""
        # A prediction that nobody hears is lost, so files wait for those who have to hear it.
        listeners = self._publisher.listeners()
        if not all(listeners[role] for role in self.config.inference.wait_for):
            return 0
        waiting = (stream for stream in self._streams.values() if stream.waits)
        free = (stream.ring.capacity - len(stream.ring) if not stream.outbox else 0 for stream in waiting)
        return max(min(free, default=1), 0)

    def _stream(self, stream_id: str) -> _Stream:
        if stream_id not in self._streams:
            config = self.config
            self._streams[stream_id] = _Stream(
                Ring(config.inference.ring_frames),
                StreamHistory(self._runtime.num_past, config.history.spacing_ms),
                LastPicture(config.inference.same_below),
            )
        return self._streams[stream_id]

    def _take(self, received: ReceivedFrame) -> None:
        header = received.header
        stream, stats = self._stream(header.stream_id), self.figures.stream(header.stream_id)
        gap = stream.gaps.update(header.id, header.skipped, header.source_size)
        stats.received += 1
        stats.state, stats.epoch, stats.seen = "up", header.epoch, stream.gaps.seen
        stats.skip("wire.lost", gap.lost)
        stats.skip("inference.absent", gap.absent)
        stats.record("wire", received.received_ns - header.sent_ns)
        stream.ended, stream.waits = None, header.policy == "every"
        stream.finished = False
        self._window.arrived(header.stream_id, received.received_ns)
        evicted = stream.ring.append(_Waiting(received, gap.reset))
        if evicted is not None:
            self._let_go(stream, [evicted], stats, "inference.overflow")

    def _end(self, end: EndOfStream) -> None:
        stream, stats = self._stream(end.stream_id), self.figures.stream(end.stream_id)
        gap = stream.gaps.update(end.id, end.skipped)
        stats.skip("wire.lost", gap.lost)
        stats.seen = stream.gaps.seen
        stream.ended = end
        self._window.forget(end.stream_id)

    # -- one step ----------------------------------------------------------------------------------

    def _wait_for_others(self, batch: list[tuple[Frame, str | None]]) -> list[tuple[Frame, str | None]]:
        """Adds the frames of streams that are just about to have one."""
        started_ns = now_ns()
        while len(batch) < self._most:
            taken = {frame.id.stream_id for frame, _ in batch}
            missing = (name for name, s in self._streams.items() if name not in taken and not s.outbox)
            until_ns = self._window.until_ns(started_ns, missing)
            left_ns = until_ns - now_ns()
            if left_ns <= 0:
                break
            self._receive(left_ns / 1e9)
            batch = self._next_batch(batch)
        return batch

    def _next_batch(self, batch: list[tuple[Frame, str | None]]) -> list[tuple[Frame, str | None]]:
        """Adds at most one frame of each other stream, with the reason to empty its cache first.

        The newest frame of a live stream, the oldest of a file; streams beyond the largest batch come
        first the next time.
        """
        taken = {frame.id.stream_id for frame, _ in batch}
        for stream_id, stream in list(self._streams.items()):
            if len(batch) >= self._most:
                break
            if stream_id in taken or stream.outbox or not len(stream.ring):
                continue
            self._streams[stream_id] = self._streams.pop(stream_id)
            waiting, frame = self._pop(stream, self.figures.stream(stream_id))
            if frame is not None:
                reset, stream.reset = stream.reset or waiting.reset, None
                batch.append((frame, reset))
        return batch

    def _pop(self, stream: _Stream, stats: StreamStats) -> tuple[_Waiting, Frame | None]:
        """Takes the frame whose turn it is out of a ring that is not empty; None if it can't be decoded."""
        oldest = stream.ring.pop()
        assert oldest is not None
        waiting = oldest
        if oldest.received.header.policy == "newest":
            newest, late = stream.ring.pop_newest()
            if newest is not None:
                self._let_go(stream, [oldest, *late], stats, "inference.overflow")
                waiting = newest
        try:
            return waiting, waiting.received.decode()
        except WireError as error:
            assert self._receiver is not None
            self._receiver.rejects.add(waiting.received.header.stream_id, error)
            overwritten = error.reason == "overwritten"
            reason = "wire.overwritten" if overwritten else "inference.undecodable"
            self._let_go(stream, [waiting], stats, reason)
            return waiting, None

    def _let_go(self, stream: _Stream, late: list[_Waiting], stats: StreamStats, reason: str) -> None:
        stats.skip(reason, len(late))
        stream.reset = stream.reset or next((frame.reset for frame in late if frame.reset), None)

    def _step(self, frames: list[tuple[Frame, str | None]]) -> None:
        started_ns = now_ns()
        batch = [frame for frame, _ in frames]
        resets = [self._prepare(frame, reset) for frame, reset in frames]
        streams = [self._streams[frame.id.stream_id] for frame in batch]
        slots = [s.history.select(frame.time_ns) for s, frame in zip(streams, batch, strict=True)]
        known = [s.picture.find(frame.image) for s, frame in zip(streams, batch, strict=True)]
        step = self._runtime.infer(
            [frame.image for frame in batch],
            [[slot.entry if slot else None for slot in stream_slots] for stream_slots in slots],
            want_attention=self.config.inference.attention,
            known=known,
        )
        predicted_ns = now_ns()
        for frame, stream_slots, reset, result in zip(batch, slots, resets, step.results, strict=True):
            past = [(slot.key, slot.age_ms) for slot in stream_slots if slot]
            self._send(frame, past, reset, result, started_ns, predicted_ns)
            self._count(frame, past, result, started_ns, predicted_ns)
        memories = step.remember()
        for frame, stream, memory, before in zip(batch, streams, memories, known, strict=True):
            stream.history.append(_Remembered(frame.id, frame.truth), frame.time_ns, memory.entry)
            stats = self.figures.stream(frame.id.stream_id)
            stats.cache_depth = stream.history.depth
            if before is not None:
                stats.reused += 1
                continue
            stats.backbone_passes += step.backbone_passes // known.count(None)
            if memory.features is not None:
                stream.picture.keep(frame.image, memory)
        self._window.stepped(now_ns() - started_ns)

    def _prepare(self, frame: Frame, reason: str | None) -> str | None:
        """Empties the stream's cache if the frame does not go on from it; says why."""
        stream = self._streams[frame.id.stream_id]
        time_ns, last_ns = frame.time_ns, stream.last_time_ns
        stream.last_time_ns = time_ns
        if reason is None and last_ns is not None:
            if time_ns <= last_ns:
                reason = "time_jump"
            elif time_ns - last_ns > self.config.history.max_gap_ms * 1e6:
                reason = "gap"
        if reason:
            stream.history.reset()
            stats = self.figures.stream(frame.id.stream_id)
            stats.resets[reason] = stats.resets.get(reason, 0) + 1
            self.event(f"{frame.id.stream_id}: cache emptied: {reason}")
        return reason

    # -- predictions out ---------------------------------------------------------------------------

    def _send(
        self,
        frame: Frame,
        past: list[tuple[_Remembered, float]],
        reset: str | None,
        result: Result,
        started_ns: int,
        predicted_ns: int,
    ) -> None:
        labels, best = self._runtime.labels, np.argsort(result.probabilities)[::-1]
        rows, columns = self._runtime.query_grid
        attention = result.attention
        prediction = Prediction(
            stream_id=frame.id.stream_id,
            session=frame.id.session,
            epoch=frame.id.epoch,
            seq=frame.id.seq,
            capture_ns=frame.capture_ns,
            pts_ns=frame.pts_ns,
            top=[
                (labels[i], float(result.probabilities[i]))
                for i in best[: self.config.inference.top_k].tolist()
            ],
            past=[PastFrame(key.id.epoch, key.id.seq, age_ms) for key, age_ms in past],
            policy=frame.policy,
            spacing_ms=self.config.history.spacing_ms,
            reset=reset,
            scored=self._is_scored(frame, past),
            attention=None if attention is None else self._attention_header(rows, columns, attention),
            received_ns=frame.received_ns,
            started_ns=started_ns,
            predicted_ns=predicted_ns,
        )
        stream = self._streams[frame.id.stream_id]
        parts = encode_prediction(prediction, attention)
        if not self._publisher.send(parts):
            stream.outbox = parts

    def _attention_header(
        self, rows: int, columns: int, attention: npt.NDArray[np.float16]
    ) -> AttentionHeader | None:
        """The layout of the attention; None for several scales, whose grids differ."""
        past = self._runtime.num_past
        if attention.shape[1] != past * rows * columns:
            return None
        return AttentionHeader(rows, columns, past, rows, columns)

    def _count(
        self,
        frame: Frame,
        past: list[tuple[_Remembered, float]],
        result: Result,
        started_ns: int,
        predicted_ns: int,
    ) -> None:
        stats = self.figures.stream(frame.id.stream_id)
        stats.predicted += 1
        depth = str(len(past))
        stats.depth[depth] = stats.depth.get(depth, 0) + 1
        stats.record("inference_queue", started_ns - frame.received_ns)
        stats.record("before_step", started_ns - frame.capture_ns)
        stats.record("step", predicted_ns - started_ns)
        stats.record("capture_to_prediction", predicted_ns - frame.capture_ns)
        if frame.policy == "newest":
            stream = self._streams[frame.id.stream_id]
            stream.session = frame.id.session
            stream.ages.add(
                capture_ns=frame.capture_ns,
                received_ns=frame.received_ns,
                started_ns=started_ns,
                predicted_ns=predicted_ns,
            )
        self.mark_output(frame.id.stream_id, predicted_ns)
        if self._is_scored(frame, past):
            stats.labelled += 1
            stats.correct += self._runtime.labels[int(result.probabilities.argmax())] == frame.truth

    def _is_scored(self, frame: Frame, past: list[tuple[_Remembered, float]]) -> bool:
        """Across a cut between two motions there is no true label: only what a motion fills is scored."""
        whole = len(past) == self._runtime.num_past and all(key.truth == frame.truth for key, _ in past)
        return frame.truth is not None and whole

    def _tell_ages(self, stream_id: str, stream: _Stream) -> None:
        """Tells capture how old the predictions are: see ``pipeline.flow.freshness.law``."""
        assert self._receiver is not None
        now = now_ns()
        ages = stream.ages.pop(now, int(min(_TELL_S, self.config.wire.stats_interval_s) * 1e9))
        if ages is not None:
            self._receiver.tell(
                Feedback(
                    stream_id=stream_id,
                    session=stream.session,
                    sent_ns=now,
                    age_ms=ages.age_ms,
                    transit_ms=ages.transit_ms,
                    step_ms=ages.step_ms,
                    since_ns=ages.since_ns,
                )
            )

    def _flush(self, stream: _Stream) -> None:
        if stream.outbox and self._publisher.send(stream.outbox):
            stream.outbox = None

    def _pass_on_end(self, stream_id: str, stream: _Stream) -> None:
        end = stream.ended
        if end is None or len(stream.ring) or stream.outbox:
            return
        if self._publisher.send(encode_end(end, "predictions")):
            stream.ended = None
            stream.finished = True
            self.figures.stream(stream_id).state = "ended"


def _film_motions(size: int, num_past: int, count: int, seed: int) -> Film:
    """Clips to calibrate int8 on; the training is imported only where that is done."""
    from pipeline.training.rendered.film import film_motions

    return film_motions(size, num_past, count, seed)
