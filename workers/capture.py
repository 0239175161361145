"""The capture worker: reads sources, each in a thread of its own, and publishes their frames."""

import threading
from dataclasses import dataclass
from functools import partial

from pipeline.base.clock import now_ns
from pipeline.base.config import StreamConfig
from pipeline.base.errors import WireError
from pipeline.base.frame import Frame, FrameId, Policy
from pipeline.video.reader import Captured, Reader
from pipeline.video.source import SourceError, SourceOptions, open_source
from pipeline.wire.codec import encode_end
from pipeline.wire.messages import EndOfStream
from pipeline.wire.transport import FramePublisher
from workers.base import REMIND_NS, Worker, WorkerError
from workers.freshness import FreshnessKeeper
from workers.roles import bound_endpoint

_RETRY_S = 0.002
"""Between two tries to send to a peer whose queue is full."""


@dataclass(eq=False)
class _Stream:
    """One source on its way to the wire; in the outbox a frame with its JPEG quality, 0 if as configured."""

    id: str
    policy: Policy
    live: bool
    reader: Reader
    outbox: tuple[Frame, int] | None = None
    refused: int = 0
    left_out: int = 0
    ended: bool = False


class CaptureWorker(Worker):
    """Publishes what the sources deliver: live ones as it comes, files as fast as the others take it."""

    role = "capture"

    def open(self) -> None:
        """Opens the sources and the publisher; reading starts once the configured workers listen."""
        config = self.config
        if not config.streams:
            raise WorkerError("no stream to capture: give --source, or [[streams]] in the configuration")
        self._wake = threading.Event()
        self._streams: list[_Stream] = []
        self._started = False
        self._opened_ns = self._reminded_ns = now_ns()
        self._publisher = FramePublisher(
            bound_endpoint(self.role, config.endpoints),
            config.wire,
            self.security,
            config.capture,
            streams=len(config.streams),
        )
        self._freshness = FreshnessKeeper(config.freshness, self._publisher.jpeg_quality, self.event)
        options = SourceOptions.from_config(config.capture)
        self._streams = [self._make_stream(stream, options) for stream in config.streams]
        for stream in self._streams:
            stream.reader.start()
            self.figures.stream(stream.id)
            self._freshness.add(stream.id, stream.policy)
        if not self.restarts:
            self._wait_until_open(config.capture.open_timeout_s * 2)

    def _wait_until_open(self, timeout_s: float) -> None:
        """Waits for the first pictures; files, which only a slow machine keeps waiting, get all the time.

        A live source that may be away at the start is not waited for.
        """
        deadline_ns = now_ns() + int(timeout_s * 1e9)
        needed = [stream for stream in self._streams if not (stream.live and self._patient)]
        while waiting := [stream for stream in needed if stream.reader.state == "waiting"]:
            self._refuse_failed()
            late = [stream.id for stream in waiting if stream.live]
            if late and now_ns() > deadline_ns:
                raise WorkerError(f"{late[0]}: no picture after {timeout_s:g} s: is the camera on?")
            self._wake.wait(0.01)
            self._wake.clear()
        self._refuse_failed()

    def _refuse_failed(self) -> None:
        for stream in self._streams:
            if stream.reader.error:
                raise WorkerError(str(stream.reader.error))

    def tick(self, timeout_s: float) -> bool:
        """Sends what the readers have; False once all sources have ended and everything is sent."""
        if not self._started:
            return self._wait_for_listeners(timeout_s)
        self._wake.clear()
        self._freshness.turn(self._publisher.pop_feedback(), self.figures.session, self.figures.stream)
        sent = self._forward_in_turn()
        self._tell_events()
        if all(stream.ended for stream in self._streams):
            return False
        if not sent:
            blocked = any(stream.outbox for stream in self._streams)
            self._wake.wait(_RETRY_S if blocked else timeout_s)
        return True

    def finish(self, deadline_ns: int) -> None:
        """Sends what was captured until now, then the ends of the streams."""
        for stream in self._streams:
            stream.reader.stop(0.0)
        while self._started and now_ns() < deadline_ns:
            sent = self._forward_in_turn()
            if all(stream.ended for stream in self._streams):
                break
            if not sent:
                self._wake.wait(_RETRY_S)
            self.publish_stats_if_due()
        self._tell_events()
        for stream in self._streams:
            stats = self.figures.stream(stream.id)
            stream.reader.discard()
            self._count(stream)
            if stream.outbox is not None:
                stats.drop("capture.stopped")
                stream.outbox = None

    def close(self) -> None:
        """Stops reading; what is already on its way to others still gets there."""
        for stream in getattr(self, "_streams", []):
            stream.reader.stop(0.0)
        if publisher := getattr(self, "_publisher", None):
            publisher.close(linger_s=self.linger_s)

    @property
    def _patient(self) -> bool:
        """Whether a source that is away is waited for: after a restart it must not stop the others."""
        return self.config.capture.retry_first_open or self.restarts > 0

    def _make_stream(self, stream: StreamConfig, options: SourceOptions) -> _Stream:
        config, capture = self.config, self.config.capture
        try:
            source = open_source(stream.source, options)
        except SourceError as error:
            raise WorkerError(str(error)) from error
        policy: Policy = ("newest" if source.live else "every") if stream.policy == "auto" else stream.policy
        reader = Reader(
            partial(open_source, stream.source, options),
            policy=policy,
            backoff_s=capture.reconnect_backoff_s,
            jitter=capture.reconnect_jitter,
            ring_frames=capture.ring_frames,
            retry_first_open=self._patient,
            max_frames=config.run.frames,
            pace=stream.pace,
            first_epoch=self.first_epochs.get(stream.id, 0),
            on_change=self._wake.set,
            held=True,
        )
        return _Stream(stream.id, policy, source.live, reader)

    def _wait_for_listeners(self, timeout_s: float) -> bool:
        """Starts the readers when everybody who has to listen does."""
        capture, now = self.config.capture, now_ns()
        if not self.restarts:
            self._refuse_failed()  # an address that can't be right shows only when it is tried
        absent = [role for role in capture.wait_for if not self._publisher.listeners()[role]]
        waited_s = (now - self._opened_ns) / 1e9
        if not absent:
            for stream in self._streams:
                stream.reader.release()
            self._started = True
        elif capture.wait_timeout_s and waited_s > capture.wait_timeout_s:
            raise WorkerError(
                f"nobody listens: {' and '.join(absent)} did not connect within "
                f"{capture.wait_timeout_s:g} s; start them, or take them out of capture.wait_for"
                f"{self._publisher.refused_lately()}"
            )
        else:
            if now - self._reminded_ns > REMIND_NS:
                self._reminded_ns = now
                refused = self._publisher.refused_lately()
                self.event(f"waiting for {' and '.join(absent)} to connect (capture.wait_for){refused}")
            self._wake.wait(min(timeout_s, 0.02))
            self._wake.clear()
        self._tell_events()
        return True

    def _forward_in_turn(self) -> bool:
        """Sends at most one frame of each stream; False if none could go."""
        sent = [stream for stream in self._streams if self._forward(stream)]
        # Who was served goes to the end: the little room that others leave must not go to one stream only.
        self._streams = [stream for stream in self._streams if stream not in sent] + sent
        return bool(sent)

    def _forward(self, stream: _Stream) -> bool:
        """Sends one frame of the stream, or its end; False if there was nothing to do or no room."""
        if stream.ended:
            return False
        if stream.outbox is not None and not self._send(stream):
            return False
        if stream.policy == "every" and not self._all_listen():
            return False
        captured = stream.reader.take(0.0)
        if captured is not None and self._freshness.leaves_out(stream.id):
            stream.left_out += 1
            self._count(stream)
            return True
        if captured is not None:
            stream.outbox = self._frame(stream, captured)
            self._send(stream)
            self._count(stream)
            return True
        self._count(stream)
        if stream.reader.finished:
            self._end(stream)
        return False

    def _all_listen(self) -> bool:
        """Whether an every-frame stream may go on: a worker that is being restarted is waited for."""
        listeners = self._publisher.listeners()
        return all(listeners[role] for role in self.config.capture.wait_for)

    def _frame(self, stream: _Stream, captured: Captured) -> tuple[Frame, int]:
        picture, started_ns = captured.picture, now_ns()
        self.figures.stream(stream.id).record("capture_queue", started_ns - picture.capture_ns)
        self.mark_output(stream.id, started_ns)
        frame = Frame(
            FrameId(stream.id, self.figures.session, captured.epoch, captured.seq),
            picture.image,
            capture_ns=picture.capture_ns,
            pts_ns=picture.pts_ns,
            policy=stream.policy,
            skipped=captured.skipped + stream.refused + stream.left_out,
            truth=picture.truth,
        )
        return self._freshness.prepare(frame)

    def _send(self, stream: _Stream) -> bool:
        """Sends the frame in the outbox; False if there is no room for it yet."""
        assert stream.outbox is not None
        stats = self.figures.stream(stream.id)
        try:
            if not self._publisher.send_frame(*stream.outbox):
                return False
            stats.sent += 1
            stats.record("encode", self._publisher.packing_ns(stream.id))
        except WireError as error:
            if not stream.refused:
                self.event(f"{stream.id}: frames are dropped: {error}")
            stream.refused += 1
        stream.outbox = None
        return True

    def _end(self, stream: _Stream) -> None:
        stats = self.figures.stream(stream.id)
        end = EndOfStream(
            stream_id=stream.id,
            session=self.figures.session,
            epoch=stream.reader.epoch,
            seq=stream.reader.captured,
            skipped=sum(stream.reader.dropped.values()) + stream.refused + stream.left_out,
            policy=stream.policy,
        )
        if self._publisher.send(encode_end(end, "frames")):
            stream.ended = True
            stats.state = "ended"
            if stream.reader.error:
                stats.error = str(stream.reader.error)

    def _count(self, stream: _Stream) -> None:
        stats, reader = self.figures.stream(stream.id), stream.reader
        stats.captured, stats.dropped = reader.captured, reader.dropped
        stats.drop("capture.too_large", stream.refused)
        stats.drop("capture.stride", stream.left_out)
        stats.seen = {self.figures.session: reader.captured}
        stats.epoch = reader.epoch
        for encoding, frames in self._publisher.sent(stream.id).items():
            self.figures.details.setdefault("frames_sent", {})[f"{stream.id}.{encoding}"] = frames
        if not stream.ended:
            stats.state = reader.state if reader.state != "ended" else "up"

    def _tell_events(self) -> None:
        for event in self._publisher.pop_events():
            self.event(event)
        for stream in self._streams:
            for event in stream.reader.pop_events():
                self.event(f"{stream.id}: {event}")
