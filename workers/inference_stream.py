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
"""Longest time between two reports on the age of predictions, however rare the statistics are."""


class InferenceStream:
    """Takes the frames of one stream, lets late ones go, and remembers what the next step needs.

    Args:
        stream_id: Its name.
        config: The whole configuration.
        num_past: Remembered frames that a step looks at.
        age_limit: Judges the frames of all streams.
        worker: Where it counts.
        notify: Takes human-readable events.
        kept: Counts the pictures that all streams keep to recognize unchanged ones.
        home: Follows the reference views; None if nothing is watched here.
        generation: How often the stream was given to another worker before.

    Attributes:
        home: See above.
        generation: See above.
        outbox: A prediction, or what is sent in place of one, that waits for room with its receivers.
        again: Frames from before it began, sent once more.
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
        self._reset: str | None = None  # of frames that were let go since: it holds for the next one
        self._newest: FrameHeader | None = None  # that has arrived
        self._resets = CacheResets(stream_id, config.history.max_gap_ms, notify)
        self._step_ns = 0
        self._end: EndOfStream | None = None
        self._begun_at: HandedPlace | None = None  # where the owner before this one was
        self._gone_on_standby: int | None = None  # of the frames after that, until the first one is here

    @property
    def stats(self) -> StreamStats:
        """What is counted here."""
        return self._worker.stream(self.id)

    @property
    def is_ready(self) -> bool:
        """Whether a frame waits for its step, and the last prediction is out."""
        return bool(len(self._ring)) and not self.outbox

    @property
    def is_busy(self) -> bool:
        """Whether anything is still to be done."""
        return bool(len(self._ring) or self.outbox)

    @property
    def has_end(self) -> bool:
        """Whether the end of the stream has still to be passed on."""
        return self._end is not None

    def has_taken_since(self, at_ns: int) -> bool:
        """Whether a frame has arrived that was sent after a Unix time in ns."""
        last = self._newest
        return last is not None and self._age_limit.age_ns(last.session, last.sent_ns, at_ns) < 0

    @property
    def room(self) -> int | None:
        """Frames that can be taken before one would have to go; None where that does not matter."""
        if self._newest is None or self._newest.policy != "every":
            return None  # frames of a camera push older ones out
        return 0 if self.outbox else self._ring.capacity - len(self._ring)

    # -- frames in ---------------------------------------------------------------------------------

    def take(self, received: ReceivedFrame) -> None:
        """Takes a frame that has arrived; of a camera it may push an older one out."""
        header, stats = received.header, self.stats
        if self.again.took(received) or self._gaps.is_known(header.id):  # by the owner before this one
            return
        gap = self._gaps.update(header.id, header.skipped, header.source_size)
        stats.received += 1
        stats.state, stats.epoch, stats.seen = "up", header.epoch, self._gaps.seen
        self._count_lost(gap)
        if not self.generation:  # another worker has dealt with those before
            stats.skip("inference.absent", gap.absent)
        stats.record("wire", received.received_ns - header.sent_ns)
        self._age_limit.arrived(header.session, header.sent_ns, received.received_ns)
        self._end, self._newest = None, header
        evicted = self._ring.append(WaitingFrame(received, gap.reset))
        if evicted is not None:
            self._dealt_with = evicted.received.header
            self._let_go([evicted], "inference.overflow")

    def take_end(self, end: EndOfStream) -> None:
        """Notes that no more frames will come."""
        gap = self._gaps.update(end.id, end.skipped)
        self._count_lost(gap)
        self._end, self.stats.seen = end, self._gaps.seen
        self.again.clear()

    def _count_lost(self, gap: Gap) -> None:
        if said := count_lost(self.stats, gap, self._gone_on_standby):
            self._notify(f"{self.id}: {said}")
        self._gone_on_standby = None

    def next(self, now_ns: int) -> Turn | None:
        """The frame whose turn it is: the newest of a live stream, the oldest of a file.

        Returns:
            None if the frame is too old, or its picture too bad.

        Raises:
            WireError: It can't be decoded; it is counted.
        """
        waiting = self._pop()
        self._dealt_with = header = waiting.received.header
        if self._age_limit.is_too_old(header.session, header.policy, header.capture_ns, now_ns):
            self._let_go([waiting], "inference.too_old")
            # Capture has to learn that it sends too much, also where nothing is young enough for a step.
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
        """Counts the frames that still wait as not predicted."""
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
            turn: What was predicted.
            label: The best label.
            scene: What moves in it.
            started_ns: When its step began.
            predicted_ns: When the result was there.
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
        """The last result if a step would give it again: neither picture nor past frames have changed."""
        if self._answer is None or turn.known is not self._answer.known:
            return None
        past = zip(turn.entries, self._answer.entries, strict=True)
        return self._answer.result if all(new is old for new, old in past) else None

    def remember(self, turn: Turn, result: Result, memory: Memory, passes: int) -> None:
        """Keeps what later steps need.

        Args:
            turn: What was predicted.
            result: What came of it.
            memory: What the runtime remembers of it.
            passes: Times that its picture went through a backbone.
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
        """What moves in a frame, and how the camera moves."""
        return self._scene.look(turn.frame, turn.slots, motion)

    def pop_feedback(self, now_ns: int) -> Feedback | None:
        """What capture is to know of the age of predictions; None if it is not time yet."""
        return self._ages.pop(now_ns, self._report_ns)

    def flush(self, publisher: Publisher) -> None:
        """Sends what waits for room: a prediction, then the end of the stream."""
        if self.outbox and publisher.send(self.outbox):
            self.outbox = None
        if self._end is None or self.is_busy:
            return
        if publisher.send(encode_end(replace(self._end, generation=self.generation), "predictions")):
            self._end = None
            self._forget()
            self.stats.state = "ended"

    def _forget(self) -> None:
        """It has ended, or goes elsewhere."""
        self.stats.state = "waiting"
        self._picture.forget()
        self._answer = None
        self._gate.end(self.stats)

    def hand_over(self, runtime: Runtime) -> HandedStream:
        """All that another worker needs to go on after the last frame that was dealt with here."""
        if len(self._ring) and not (self._dealt_with or self._begun_at):
            first = self._pop()  # or the next owner would not know what came before its own
            self._dealt_with = first.received.header
            self._let_go([first], "inference.stopped")
        frames, intervals = self._history.content()
        handed = HandedStream(
            # without a frame of its own it was moved on at once
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
        """Goes on where another worker was.

        Raises:
            ValueError: Something in it can't be; then this stream is of no use any more.
        """
        self._history.replace(remembered(handed.frames, runtime), handed.intervals)
        self._scene.restore(handed.scene)
        if handed.gate:
            self._gate.restore(handed.gate)
        self._resets.last_ns = handed.time_ns

    def begin(self, standby: Standby, handed: HandedStream | None) -> None:
        """Takes what has waited for this worker to become the owner."""
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
