"""The capture worker: reads sources, each in a thread of its own, and publishes their frames."""

import math
import threading
from functools import partial

from pipeline.account.stats import Freshness
from pipeline.base.backoff import Backoff
from pipeline.base.clock import now_ns
from pipeline.base.config import StreamConfig
from pipeline.base.frame import Policy
from pipeline.flow.freshness.keeper import FreshnessKeeper
from pipeline.video.open import open_source
from pipeline.video.reader import Reader
from pipeline.video.source import Source, SourceError, SourceOptions
from pipeline.wire.frame_publisher import FramePublisher
from workers.base import RETRY_S, Worker, WorkerError
from workers.capture_stream import CaptureStream
from workers.roles import bound_endpoint
from workers.taker_watch import TakerWatch


class CaptureWorker(Worker):
    """Publishes what the sources deliver: live ones as it comes, files as fast as the others take it."""

    role = "capture"

    def open(self) -> None:
        """Opens the sources and the publisher; reading starts once the configured workers listen."""
        config = self.config
        if not config.streams:
            raise WorkerError("no stream to capture: give --source, or [[streams]] in the configuration")
        self._wake = threading.Event()
        self._streams: list[CaptureStream] = []
        self._started = False
        self._opened_ns = now_ns()
        endpoint = bound_endpoint(self.role, config.endpoints)
        self._publisher = self.publishes(
            FramePublisher(endpoint, config.wire, self.security, config.capture, streams=len(config.streams))
        )
        self._listeners = self.waits_for(self._publisher, config.capture.wait_for, "capture.wait_for")
        self._takers = TakerWatch(self._publisher, self.stats, self.event)
        self._freshness = FreshnessKeeper(config.freshness, self._publisher.jpeg_quality, self.event)
        options = SourceOptions.from_config(config.capture)
        sources = [self._make_source(stream, options) for stream in config.streams]
        live = sum(source.live for source in sources)
        for stream_config, source in zip(config.streams, sources, strict=True):
            self._streams.append(self._make_stream(stream_config, source, options, lone=live == 1))
        for stream in self._streams:
            self.resources.callback(stream.reader.stop, 0.0)
            stream.reader.start()
            self._freshness.add(stream.id, stream.policy)
        if not self.restarts:
            self._wait_until_open(config.capture.open_timeout_s * 2)

    def tick(self, timeout_s: float) -> bool:
        """Sends what the readers have; False once all sources have ended and everything is sent."""
        if not self._started:
            return self._wait_for_listeners(timeout_s)
        self._wake.clear()
        self._update_freshness()
        self._takers.look(stream.id for stream in self._streams if not stream.ended)
        sent = self._forward_in_turn()
        self._collect_events()
        if all(stream.ended for stream in self._streams):
            return False
        if not sent:
            blocked = any(stream.outbox for stream in self._streams)
            self._wake.wait(RETRY_S if blocked else timeout_s)
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
                self._wake.wait(RETRY_S)
            self.publish_stats_if_due()
        self._collect_events()
        for stream in self._streams:
            stream.discard()

    # -- before the first frame --------------------------------------------------------------------

    @property
    def _patient(self) -> bool:
        """Whether a source that is away is waited for: after a restart it must not stop the others."""
        return self.config.capture.retry_first_open or self.restarts > 0

    @staticmethod
    def _make_source(stream: StreamConfig, options: SourceOptions) -> Source:
        """What the reader will open; made once before, as its text may be wrong."""
        try:
            return open_source(stream.source, options)
        except SourceError as error:
            raise WorkerError(str(error)) from error

    def _make_stream(
        self, stream: StreamConfig, source: Source, options: SourceOptions, *, lone: bool
    ) -> CaptureStream:
        """The stream of a source; ``lone`` if it is the only live one."""
        config, capture = self.config, self.config.capture
        policy: Policy = ("newest" if source.live else "every") if stream.policy == "auto" else stream.policy
        reader = Reader(
            partial(open_source, stream.source, options),
            policy=policy,
            backoff=Backoff(
                capture.reconnect_backoff_s,
                capture.reconnect_jitter,
                capture.reconnect_lone_s if lone else math.inf,
            ),
            ring_frames=capture.ring_frames,
            retry_first_open=self._patient,
            max_frames=config.run.frames,
            pace=stream.pace,
            first_epoch=self.first_epochs.get(stream.id, 0),
            on_change=self._wake.set,
            held=True,
        )
        return CaptureStream(
            stream.id,
            policy,
            source.live,
            reader,
            self._publisher,
            self._freshness,
            self.stats,
            notify=self.event,
            mark=partial(self.mark_output, stream.id),
        )

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
            self._publisher.listeners()  # what peers send must not pile up meanwhile
            self._wake.wait(0.01)
            self._wake.clear()
        self._refuse_failed()

    def _refuse_failed(self) -> None:
        for stream in self._streams:
            if stream.reader.error:
                raise WorkerError(str(stream.reader.error))

    def _wait_for_listeners(self, timeout_s: float) -> bool:
        """Starts the readers when everybody who has to listen does."""
        capture, now = self.config.capture, now_ns()
        if not self.restarts:
            self._refuse_failed()  # an address that can't be right shows only when it is tried
        absent = self._listeners.absent()
        self._listeners.report(absent)
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
            self._wake.wait(min(timeout_s, 0.02))
            self._wake.clear()
        self._collect_events()
        return True

    # -- frames out --------------------------------------------------------------------------------

    def _forward_in_turn(self) -> bool:
        """Sends at most one frame of each stream; False if none could go."""
        # An every-frame stream waits for a worker that is being restarted.
        everybody_listens = not self._listeners.absent()
        sent = [stream for stream in self._streams if stream.forward(hold=not everybody_listens)]
        # Who was served goes to the end: the little room that others leave must not go to one stream only.
        self._streams = [stream for stream in self._streams if stream not in sent] + sent
        return bool(sent)

    def _update_freshness(self) -> None:
        self._freshness.update(self._publisher.pop_feedback(), self.stats.session, now_ns())
        for stream_id, control in self._freshness.controls.items():
            self.stats.stream(stream_id).freshness = Freshness(
                control.target_ms,
                None if control.age_ms is None else round(control.age_ms, 1),
                control.knobs.quality,
                control.knobs.size,
                control.knobs.stride,
                control.turns,
            )

    def _collect_events(self) -> None:
        for event in self._publisher.pop_events():
            self.event(event)
        for stream in self._streams:
            for event in stream.reader.pop_events():
                self.event(f"{stream.id}: {event}")
