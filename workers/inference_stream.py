"""One stream in inference: pending frames, cached past and messages to send."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from pipeline.account.stats import StreamStats, WorkerStats, add_counts
from pipeline.base.config import Config
from pipeline.base.errors import WireError
from pipeline.base.frame import Frame
from pipeline.flow.age_limit import AgeLimit
from pipeline.flow.freshness.ages import AgeLog, Feedback
from pipeline.flow.gaps import Gap, GapTracker
from pipeline.flow.ring import Ring
from pipeline.flow.unchanged import KeptBytes, LastPicture
from pipeline.model.history import StreamHistory
from pipeline.runtime.base import Runtime
from pipeline.runtime.step import Memory, Motion, Result
from pipeline.scene.home import Home
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.encoding import encode_bad_picture, encode_end
from pipeline.wire.messages import EndOfStream, FrameHeader, Part
from pipeline.wire.publisher import Publisher
from workers.cache_resets import CacheResets
from workers.hand_over import HandedPlace, HandedStream, handed_frames, remembered
from workers.inference_scene import Scene, SceneWatcher
from workers.picture_gate import PictureGate
from workers.rebuilding import Rebuilding
from workers.standby import Standby, count_lost
from workers.turn import LastAnswer, PastKey, Turn, WaitingFrame

_REPORT_S = 0.25
"""Longest interval between reports on the age of predictions, even if statistics are sent less often."""


class InferenceStream:
    """Takes the frames of one stream, drops late ones, and caches what the next step needs.

    Args:
        stream_id: The stream's id.
        config: The whole configuration.
        num_past: Cached frames that a step uses.
        age_limit: Checks the age of the frames of all streams.
        worker: Statistics in which frames are counted.
        notify: Receives human-readable events.
        kept: Memory budget of the images that all streams store to recognise unchanged frames.
        home: Tracks the reference views; None if nothing is watched in this stream.
        generation: How often the stream was assigned to another worker before.

    Attributes:
        home: The argument ``home``.
        generation: The argument ``generation``.
        outbox: A prediction, or the message in place of one, waiting for queue room.
        again: Replayed frames from before the stream started here.
    """

    def __init__(
        self,
        stream_id: str,
        config: Config,
        num_past: int,
        age_limit: AgeLimit,
        worker: WorkerStats,
        notify: Callable[[str], None],
        kept: KeptBytes,
        home: Home | None = None,
        generation: int = 0,
    ) -> None:
        self.id, self.home, self.generation = stream_id, home, generation
        self.outbox: list[Part] | None = None
        self._age_limit, self._worker, self._notify = age_limit, worker, notify
        self._report_ns = int(min(_REPORT_S, config.wire.stats_interval_s) * 1e9)
        self._ring: Ring[WaitingFrame] = Ring(config.inference.ring_frames)
        self._history: StreamHistory[PastKey] = StreamHistory(num_past, config.history.spacing_ms)
        self.again = Rebuilding(self._history, PastKey, self.stats, config.history.max_gap_ms)
        self._picture: LastPicture[Memory] = LastPicture(kept, config.inference.same_below)
        self._answer: LastAnswer | None = None
        self._scene = SceneWatcher(home)
        self._gate = PictureGate(judge_looks=config.inference.health)
        self._gaps = GapTracker()
        self._dealt_with: FrameHeader | None = None  # the last one that left the ring
        self._ages = AgeLog(stream_id)
        self._reset: str | None = None  # of dropped frames: applies to the next frame
        self._newest: FrameHeader | None = None  # last received
        self._resets = CacheResets(stream_id, config.history.max_gap_ms, notify)
        self._step_ns = 0
        self._end: EndOfStream | None = None
        self._begun_at: HandedPlace | None = None  # where the previous owner stopped
        self._gone_on_standby: int | None = None  # number of later frames dropped on standby

    @property
    def stats(self) -> StreamStats:
        """The statistics of this stream."""
        return self._worker.stream(self.id)

    @property
    def is_ready(self) -> bool:
        """Whether a frame is waiting for its step and the last prediction was sent."""
        return bool(len(self._ring)) and not self.outbox

    @property
    def is_busy(self) -> bool:
        """Whether frames or messages are pending."""
        return bool(len(self._ring) or self.outbox)

    @property
    def has_end(self) -> bool:
        """Whether the end of the stream still has to be passed on."""
        return self._end is not None

    def has_taken_since(self, at_ns: int) -> bool:
        """Whether a frame has arrived that was sent after a Unix time in ns."""
        last = self._newest
        return last is not None and self._age_limit.age_ns(last.session, last.sent_ns, at_ns) < 0

    @property
    def room(self) -> int | None:
        """Frames that fit before one would be dropped; None if dropping is allowed."""
        if self._newest is None or self._newest.policy != "every":
            return None  # new frames of a camera push out older ones
        return 0 if self.outbox else self._ring.capacity - len(self._ring)

    # -- frames in ---------------------------------------------------------------------------------

    def take(self, received: ReceivedFrame) -> None:
        """Takes a received frame; in a live stream it may push out an older one."""
        header, stats = received.header, self.stats
        if self.again.took(received) or self._gaps.is_known(header.id):  # by the previous owner
            return
        gap = self._gaps.update(header.id, header.skipped, header.source_size)
        stats.received += 1
        stats.state, stats.epoch, stats.seen = "up", header.epoch, self._gaps.seen
        self._count_lost(gap)
        if not self.generation:  # otherwise another worker handled those
            stats.skip("inference.absent", gap.absent)
        stats.record("wire", received.received_ns - header.sent_ns)
        self._age_limit.arrived(header.session, header.sent_ns, received.received_ns)
        self._end, self._newest = None, header
        evicted = self._ring.append(WaitingFrame(received, gap.reset))
        if evicted is not None:
            self._dealt_with = evicted.received.header
            self._let_go([evicted], "inference.overflow")

    def take_end(self, end: EndOfStream) -> None:
        """Notes that no more frames will arrive."""
        gap = self._gaps.update(end.id, end.skipped)
        self._count_lost(gap)
        self._end, self.stats.seen = end, self._gaps.seen
        self.again.clear()

    def _count_lost(self, gap: Gap) -> None:
        if said := count_lost(self.stats, gap, self._gone_on_standby):
            self._notify(f"{self.id}: {said}")
        self._gone_on_standby = None

    def next(self, now_ns: int) -> Turn | None:
        """The next frame to predict: the newest of a live stream, the oldest of a file.

        Returns:
            None if the frame is too old or its image is bad.

        Raises:
            WireError: The image can't be decoded; the frame is counted.
        """
        waiting = self._pop()
        self._dealt_with = header = waiting.received.header
        if self._age_limit.is_too_old(header.session, header.policy, header.capture_ns, now_ns):
            self._let_go([waiting], "inference.too_old")
            # Capture must learn that it sends too much, even if no frame is recent enough for a step.
            self._note_age(header.session, header.capture_ns, waiting.received.received_ns, now_ns)
            return None
        try:
            frame = waiting.received.decode()
        except WireError as error:
            overwritten = error.reason == "overwritten"
            self._let_go([waiting], "wire.overwritten" if overwritten else "inference.undecodable")
            raise
        if self._is_bad(frame, now_ns):
            self._let_go([waiting], "inference.bad_picture")
            return None
        reset = self._resets.before(frame, self._reset or waiting.reset, self.stats, now_ns)
        if reset:
            self._history.reset()
        self._reset = None
        return Turn(frame, self._history.select(frame.time_ns), reset, self._picture.find(frame.image))

    def _is_bad(self, frame: Frame, now_ns: int) -> bool:
        bad = self._gate.check(frame, self.stats)
        if bad is None:
            return False
        self._history.forget_since(frame.time_ns - round(bad.for_s * 1e9))
        self.outbox = encode_bad_picture(replace(bad, generation=self.generation))
        if frame.policy == "newest":
            self._note_age(frame.id.session, frame.capture_ns, frame.received_ns, now_ns)
        return True

    def discard(self) -> None:
        """Counts waiting frames as not predicted."""
        self.stats.skip("inference.stopped", len(self._ring))

    def _pop(self) -> WaitingFrame:
        oldest = self._ring.pop()
        assert oldest is not None, "asked for the next frame of a stream that has none"
        if oldest.received.header.policy == "every":
            return oldest
        newest, late = self._ring.pop_newest()
        if newest is None:
            return oldest
        self._let_go([oldest, *late], "inference.overflow")
        return newest

    def _let_go(self, late: Sequence[WaitingFrame], reason: str) -> None:
        self.stats.skip(reason, len(late))
        self._reset = self._reset or next((frame.reset for frame in late if frame.reset), None)

    # -- after the step ----------------------------------------------------------------------------

    def count(self, turn: Turn, label: str, scene: Scene, started_ns: int, predicted_ns: int) -> None:
        """Counts a prediction.

        Args:
            turn: The predicted frame.
            label: The best label.
            scene: Its moving objects and camera motion.
            started_ns: Start of its step.
            predicted_ns: End of its step.
        """
        stats, frame = self.stats, turn.frame
        stats.predicted += 1
        add_counts(stats.depth, {str(len(turn.past)): 1})
        stats.record("inference_queue", started_ns - frame.received_ns)
        stats.record("before_step", started_ns - frame.capture_ns)
        stats.record("step", predicted_ns - started_ns)
        stats.record("capture_to_prediction", predicted_ns - frame.capture_ns)
        self._step_ns = predicted_ns - started_ns
        if frame.policy == "newest":
            self._note_age(frame.id.session, frame.capture_ns, frame.received_ns, started_ns)
        if turn.scored:
            stats.labelled += 1
            stats.correct += label == frame.truth
        self._scene.count(stats.things, scene, frame, len(turn.past), scored=turn.scored)
        if advice := self._scene.advice():
            self._notify(f"{self.id}: {advice}")

    def find_result(self, turn: Turn) -> Result | None:
        """The last result if image and past frames are unchanged, so that a step would repeat it."""
        if self._answer is None or turn.known is not self._answer.known:
            return None
        past = zip(turn.entries, self._answer.entries, strict=True)
        return self._answer.result if all(new is old for new, old in past) else None

    def remember(self, turn: Turn, result: Result, memory: Memory, passes: int) -> None:
        """Caches what later steps need.

        Args:
            turn: The predicted frame.
            result: Its result.
            memory: The runtime's cache entry.
            passes: Backbone passes of its image.
        """
        stats, frame = self.stats, turn.frame
        self._answer = None if turn.known is None else LastAnswer(turn.known, turn.entries, result)
        self._history.append(PastKey(frame.id, frame.truth), frame.time_ns, memory.entry)
        stats.cache_depth = self._history.depth
        if turn.known is not None:
            stats.reused += 1
            return
        stats.backbone_passes += passes
        if memory.features is not None:
            self._picture.keep(frame.image, memory)

    def look(self, turn: Turn, motion: Motion | None) -> Scene:
        """Moving objects and camera motion in a frame."""
        return self._scene.look(turn.frame, turn.slots, motion)

    def pop_feedback(self, now_ns: int) -> Feedback | None:
        """A report to capture on the age of predictions; None if it is not due."""
        return self._ages.pop(now_ns, self._report_ns)

    def flush(self, publisher: Publisher) -> None:
        """Sends pending messages: a prediction, then the end of the stream."""
        if self.outbox and publisher.send(self.outbox):
            self.outbox = None
        if self._end is None or self.is_busy:
            return
        if publisher.send(encode_end(replace(self._end, generation=self.generation), "predictions")):
            self._end = None
            self._forget()
            self.stats.state = "ended"

    def _forget(self) -> None:
        """Clears state when the stream ends or moves."""
        self.stats.state = "waiting"
        self._picture.forget()
        self._answer = None
        self._gate.end(self.stats)

    def hand_over(self, runtime: Runtime) -> HandedStream:
        """State that another worker needs to continue after the last frame handled here."""
        if len(self._ring) and not (self._dealt_with or self._begun_at):
            first = self._pop()  # gives the next owner a place to continue from
            self._dealt_with = first.received.header
            self._let_go([first], "inference.stopped")
        frames, intervals = self._history.content()
        handed = HandedStream(
            # the previous owner's place if the stream moves on before a frame was handled here
            place=HandedPlace.of(self._dealt_with) if self._dealt_with else self._begun_at,
            time_ns=self._resets.last_ns,
            frames=handed_frames(frames, runtime),
            intervals=intervals,
            scene=self._scene.state(),
            gate=self._gate.state(),
        )
        self._forget()
        return handed

    def take_over(self, handed: HandedStream, runtime: Runtime) -> None:
        """Continues from the state of another worker.

        Raises:
            ValueError: The state is not valid; this stream object must then be discarded.
        """
        self._history.replace(remembered(handed.frames, runtime), handed.intervals)
        self._scene.restore(handed.scene)
        if handed.gate:
            self._gate.restore(handed.gate)
        self._resets.last_ns = handed.time_ns

    def begin(self, standby: Standby, handed: HandedStream | None) -> None:
        """Takes the frames held on standby when this worker becomes the owner."""
        self._begun_at = place = handed.place if handed else None
        if place:
            self._gaps.update(place.last, place.skipped, place.picture)
        frames, gone = standby.after(place.last if place else None)
        self._gone_on_standby = gone if place else None
        for received in frames:
            self.take(received)
        if standby.end:
            self.take_end(standby.end)

    def _note_age(self, session: int, capture_ns: int, received_ns: int, started_ns: int) -> None:
        self._ages.add(
            session,
            capture_ns=capture_ns,
            received_ns=received_ns,
            started_ns=started_ns,
            predicted_ns=started_ns + self._step_ns,
        )
