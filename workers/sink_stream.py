"""One stream in the sink: frames waiting for predictions, and the state of the overlay."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from pipeline.account.stats import StreamStats, WorkerStats, add_counts
from pipeline.base.clock import now_ns
from pipeline.base.config import Config
from pipeline.base.errors import WireError
from pipeline.base.event import Event
from pipeline.base.frame import Frame, FrameId, Image
from pipeline.base.watched import Watch
from pipeline.events.motion_log import LogPart
from pipeline.flow.age_limit import AgeLimit
from pipeline.flow.gaps import GapTracker
from pipeline.flow.joiner import Joined, Joiner
from pipeline.scene.crossing_counts import CrossingCounts
from pipeline.scene.dense_motion import PLACE_PX
from pipeline.scene.motion_grid import EVERY_NS, motion_grid
from pipeline.scene.sentence import health_in_words
from pipeline.view.overlay import Shown, draw_overlay
from pipeline.view.thumbnails import make_thumbnail
from pipeline.wire.arrivals import ReceivedFrame, ReceivedPrediction
from pipeline.wire.messages import BadPicture, EndOfStream, Prediction
from workers.event_finder import EventFinder
from workers.latency_watch import LatencyWatch
from workers.recording import Recording
from workers.signal_watch import SignalWatch

_THUMBNAILS = 64


class SinkStream:
    """Joins, judges and draws the frames of one stream.

    Args:
        stream_id: The stream's id.
        config: The whole configuration.
        age_limit: Checks the age of the frames of all streams.
        worker: Statistics in which frames are counted.
        recording: Records the stream's images; None if the stream is not recorded.
        tell: Receives events.
        log: Receives parts of the stream's motion log.
        crossed: Counts the line crossings of all streams.

    Attributes:
        judged_ns: Capture time (Unix) of the frame that was last evaluated.
        arrived_ns: Unix time of the last message of this stream, by the role that sent it.
    """

    def __init__(
        self,
        stream_id: str,
        config: Config,
        age_limit: AgeLimit,
        worker: WorkerStats,
        recording: Recording | None,
        tell: Callable[[Event], None],
        log: Callable[[str, LogPart], None] | None = None,
        crossed: CrossingCounts | None = None,
    ) -> None:
        sink = config.sink
        self.id, self.recording = stream_id, recording
        self._age_limit, self._worker = age_limit, worker
        self._joiner = Joiner[ReceivedPrediction](
            sink.ring_frames, int(sink.sync_timeout_ms * 1e6), int(sink.patience_ms * 1e6)
        )
        self._gaps = GapTracker()
        self._finder, self._tell = EventFinder(stream_id, config, log, crossed), tell
        self._log, self._grid_ns = log, 0
        self._signal = SignalWatch(stream_id)
        self._latency = LatencyWatch(stream_id, sink.latency_limit_ms)
        self._thumbnails: OrderedDict[FrameId, Image] = OrderedDict()
        self._held: Prediction | None = None
        self._bad: OrderedDict[FrameId, BadPicture] = OrderedDict()
        self._ended = False
        self.judged_ns = 0
        self.arrived_ns: dict[str, int] = {}
        self._waits_for_room = False  # new frames of a camera push out older ones
        self._is_live = False

    def __len__(self) -> int:
        """Number of frames waiting for predictions."""
        return len(self._joiner)

    @property
    def stats(self) -> StreamStats:
        """The statistics of this stream."""
        return self._worker.stream(self.id)

    @property
    def room(self) -> int | None:
        """Frames that fit before one would be dropped; None if dropping is allowed."""
        return self._joiner.room if self._waits_for_room else None

    @property
    def finished(self) -> bool:
        """Whether the stream has ended and all its frames were shown."""
        return self._ended and not len(self._joiner)

    def take_frame(self, received: ReceivedFrame) -> None:
        """Takes a received frame.

        Raises:
            WireError: The image can't be decoded; the frame is counted.
        """
        header, stats = received.header, self.stats
        self._count_gap(header.id, header.skipped, header.source_size)
        stats.state, stats.epoch = "up", header.epoch
        self.arrived_ns["capture"] = received.received_ns
        self._ended, self._waits_for_room = False, header.policy == "every"
        self._is_live = header.policy == "newest"
        self._age_limit.arrived(header.session, header.sent_ns, received.received_ns)
        self.tell_all(self._signal.arrived(header.policy, header.capture_ns, received.received_ns))
        if self._age_limit.is_too_old(header.session, header.policy, header.capture_ns, received.received_ns):
            stats.drop("sink.too_old")
            return
        try:
            frame = received.decode(full_size=True)
        except WireError as error:
            stats.drop("wire.overwritten" if error.reason == "overwritten" else "sink.undecodable")
            raise
        if self._joiner.add_frame(frame) is not None:
            stats.drop("sink.overflow")
        # Keep a small copy: later predictions refer to this frame.
        self._thumbnails[frame.id] = make_thumbnail(frame.image)
        while len(self._thumbnails) > _THUMBNAILS:
            self._thumbnails.popitem(last=False)

    def expect(self, since_ns: int) -> None:
        """Notes that frames of a live stream have been due since ``since_ns``."""
        self._signal.expect(since_ns)

    def lost_before(self, end: Event) -> None:
        """Notes that an earlier sink reported a lost signal, with the end of that event."""
        self._signal.lost_before(end)

    def take_end(self, end: EndOfStream) -> None:
        """Notes that no more frames will arrive."""
        self._count_gap(end.id, end.skipped, None)
        self._ended = True
        self.tell_all(self._signal.end("the stream has ended"))

    def take_prediction(self, answer: ReceivedPrediction | BadPicture | EndOfStream) -> None:
        """Takes a prediction, the reason why a frame has none, or the end of predictions."""
        self.arrived_ns["inference"] = now_ns()
        if isinstance(answer, EndOfStream):
            self._joiner.end_predictions(answer.session, answer.epoch)
            why = "the stream has ended"
            self.tell_all(self._finder.end(why) + self._latency.end(why))
            return
        self.judged_ns = (answer.prediction if isinstance(answer, ReceivedPrediction) else answer).capture_ns
        if isinstance(answer, BadPicture):
            self._joiner.add_unpredicted(answer.id, now_ns())
            self._bad[answer.id] = answer
            while len(self._bad) > _THUMBNAILS:
                self._bad.popitem(last=False)
            self.tell_all(self._finder.take_bad(answer))
        else:
            self._joiner.add_prediction(answer.prediction.id, answer, now_ns())
            self.tell_all(self._finder.take(answer.prediction))
            self._log_grid(answer)
            self._judge_age(answer)

    def pop_ready(self) -> Iterator[Joined[ReceivedPrediction]]:
        """Frames that are ready to show, oldest first; also reports lost signals and late predictions."""
        if lost := self._signal.look(now_ns()):
            self.tell_all([*self._finder.end("no frames are arriving"), *lost])
        self.tell_all(self._latency.look(now_ns()))
        while (joined := self._joiner.pop_ready(now_ns())) is not None:
            frame = joined.frame
            if self._age_limit.is_too_old(frame.id.session, frame.policy, frame.capture_ns, now_ns()):
                self.stats.drop("sink.too_old")
            else:
                yield joined

    def replace_watch(self, watch: Watch, why: str) -> None:
        """Applies other zones, lines and rules; unchanged ones keep their state."""
        self.tell_all(self._finder.replace_watch(watch, why))

    def discard(self) -> None:
        """Counts waiting frames as dropped and ends open events."""
        self.stats.drop("sink.stopped", len(self._joiner))
        for part in (self._finder, self._signal, self._latency):
            self.tell_all(part.end("the sink was stopped"))

    def tell_all(self, events: Iterable[Event]) -> None:
        """Counts and reports events of this stream."""
        for event in events:
            add_counts(self.stats.events, {event.kind: int(event.phase != "end")})
            self._tell(event)

    def trouble(self, frame: Frame) -> str | None:
        """What is wrong with a frame's image, as text; None if nothing is known to be wrong."""
        bad = self._bad.get(frame.id)
        return health_in_words(bad.state, bad.for_s) if bad else None

    def shown(self, joined: Joined[ReceivedPrediction], latency_ms: float) -> Shown:
        """What to draw on a frame; without its own prediction it shows the last one."""
        frame, answer = joined.frame, joined.prediction
        prediction = answer.prediction if answer else None
        if prediction:
            self._held = prediction
        elif self._held and (self._held.session, self._held.epoch) != (frame.id.session, frame.id.epoch):
            self._held = None
        return Shown.of(
            frame,
            prediction,
            answer.attention if answer else None,
            held=self._held,
            watched=self._finder.watched(),
            ground_speeds=self._finder.ground_speeds(self._held) if self._held else {},
            trouble=self.trouble(frame),
            fps=self.stats.fps or None,
            latency_ms=latency_ms,
        )

    def draw(self, joined: Joined[ReceivedPrediction], shown: Shown) -> Image:
        """Draws the overlay."""
        return draw_overlay(shown, joined.frame.image, self.past_images(shown))

    def past_images(self, shown: Shown) -> list[Image | None]:
        """Thumbnails of the past frames that the prediction used, oldest first; None if no longer stored."""
        return [self._thumbnails.get(past) for past in shown.past]

    def record(self, picture: Image, frame: Frame) -> None:
        """Records an image if the stream is recorded."""
        if self.recording:
            self.recording.write(picture, frame.time_ns, frame.capture_ns)

    def _judge_age(self, answer: ReceivedPrediction) -> None:
        if self._is_live:
            prediction, at_ns = answer.prediction, answer.received_ns
            age_ns = self._age_limit.age_ns(prediction.session, prediction.capture_ns, at_ns)
            self.tell_all(self._latency.see(age_ns / 1e6, at_ns))

    def _log_grid(self, answer: ReceivedPrediction) -> None:
        """Logs the motion of the whole image periodically if the prediction includes it."""
        prediction, maps = answer.prediction, answer.motion_maps
        if self._log is None or maps is None or prediction.depth < len(maps.flow):
            return
        wall_ns, past = prediction.capture_ns, prediction.past[-1]
        if abs(wall_ns - self._grid_ns) >= EVERY_NS and past.age_ms > 0:
            self._grid_ns = wall_ns
            self._log(self.id, motion_grid(maps.flow[-1], PLACE_PX, past.age_ms, wall_ns))

    def _count_gap(self, frame_id: FrameId, skipped: int, size: tuple[int, int] | None) -> None:
        gap, stats = self._gaps.update(frame_id, skipped, size), self.stats
        stats.drop("wire.lost", gap.lost)
        stats.drop("sink.absent", gap.absent)
        stats.seen = self._gaps.seen
