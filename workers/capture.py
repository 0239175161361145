"""The capture worker: reads each source in its own thread and publishes the frames."""

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
from pipeline.view.web.verbs import Verb
from pipeline.wire.frame_publisher import FramePublisher
from workers.base import RETRY_S, Worker, WorkerError
from workers.capture_stream import CaptureStream
from workers.capture_verbs import CaptureVerbs
from workers.roles import bound_endpoint
from workers.taker_watch import TakerWatch

_START_WAIT_S = 0.02
_LISTED_STREAMS = 16
"""Streams for which the publisher reserves room if streams can be added later."""


class CaptureWorker(Worker):
    """Publishes frames: those of live sources as they arrive, those of files as fast as receivers accept."""

    role = "capture"

    def open(self) -> None:
        """Opens the sources and the publisher; a stream is read once its required receivers subscribe."""
        config = self.config
        if not config.streams and not config.control.listen:
            raise WorkerError("no stream to capture: give --source, or [[streams]] in the configuration")
        self._wake = threading.Event()
        self._streams: list[CaptureStream] = []
        self._before: dict[str, CaptureStream] = {}
        self._opened_ns = now_ns()
        self._options = SourceOptions.from_config(config.capture)
        endpoint = bound_endpoint(self.role, config.endpoints)
        room = max(len(config.streams), _LISTED_STREAMS if config.control.listen else 1)
        self._publisher = self.publishes(
            FramePublisher(endpoint, config.wire, self.security, config.capture, streams=room)
        )
        self._listeners = self.waits_for(self._publisher, config.capture.wait_for, "capture.wait_for")
        self._takers = TakerWatch(self._publisher, self.stats, self.event)
        self._freshness = FreshnessKeeper(config.freshness, self._publisher.jpeg_quality, self.event)
        sources = [self._make_source(stream) for stream in config.streams]
        live = sum(source.live for source in sources)
        self.resources.callback(self._stop_readers)
        for stream_config, source in zip(config.streams, sources, strict=True):
            self._begin(stream_config, source, lone=live == 1, patient=self._patient)
        if not self.restarts:
            self._wait_until_open(config.capture.open_timeout_s * 2)

    def tick(self, timeout_s: float) -> bool:
        """Sends frames of the readers; False once all sources have ended and everything has been sent."""
        self._wake.clear()
        self._update_freshness()
        again = self._publisher.send_again()
        waiting = self._start_heard()
        self._takers.look(stream.id for stream in self._streams if not stream.ended)
        sent = self._forward_in_turn()
        self._collect_events()
        if not self.config.control.listen and all(stream.ended for stream in self._streams):
            return False
        if not sent:
            blocked = again or any(stream.outbox for stream in self._streams)
            idle_s = min(timeout_s, _START_WAIT_S) if waiting else timeout_s
            self._wake.wait(RETRY_S if blocked else idle_s)
        return True

    def finish(self, deadline_ns: int) -> None:
        """Sends all captured frames, then the end of each stream."""
        self._stop_readers()
        while now_ns() < deadline_ns and not all(s.ended for s in self._streams if s.started):
            if not self._forward_in_turn():
                self._wake.wait(RETRY_S)
            self.publish_stats_if_due()
        self._collect_events()
        for stream in self._streams:
            stream.discard()

    def verbs(self) -> list[Verb]:
        """Operations that list, add and remove streams."""
        options = SourceOptions.from_config(self.config.capture)
        return CaptureVerbs(lambda: self._streams, self.stats.streams, self._add, self._end, options).all

    # -- adding and removing streams ---------------------------------------------------------------

    def _add(self, entry: StreamConfig, source: Source) -> CaptureStream:
        """Adds a stream with an unused name; retries if its source is not available."""
        others = [stream for stream in self._streams if stream.live and not stream.ended]
        return self._begin(entry, source, lone=source.live and not others, patient=True)

    def _end(self, stream: CaptureStream, deadline_ns: int) -> bool:
        """Ends a stream gracefully while the others continue.

        Args:
            stream: A current stream.
            deadline_ns: Unix time after which captured frames that receivers do not accept are dropped.

        Returns:
            False if even its end could not be sent; try again.
        """
        stream.reader.stop(0.0)
        stream.started = True  # send the end even without receivers
        last_ns = deadline_ns + int(self.config.capture.read_timeout_s * 1e9)
        while not stream.ended and now_ns() < last_ns:
            if now_ns() > deadline_ns:
                stream.discard()
                stream.forward(hold=False)
            self._update_freshness()
            if not self._forward_in_turn():
                self._wake.wait(RETRY_S)
            self._collect_events()
            self.publish_stats_if_due()
        if stream.ended:
            self._remove(stream)
        return stream.ended

    def _remove(self, stream: CaptureStream) -> None:
        stream.reader.stop(1.0)
        self._collect_events()
        self._freshness.remove(stream.id)
        self._publisher.free(stream.id)
        self._streams.remove(stream)
        self._before[stream.id] = stream

    def _begin(self, entry: StreamConfig, source: Source, *, lone: bool, patient: bool) -> CaptureStream:
        stream = self._make_stream(entry, source, lone=lone, patient=patient)
        self._streams.append(stream)
        stream.reader.start()
        self._freshness.add(stream.id, stream.policy)
        return stream

    def _stop_readers(self) -> None:
        for stream in self._streams:
            stream.reader.stop(0.0)

    # -- before the first frame --------------------------------------------------------------------

    @property
    def _patient(self) -> bool:
        """Whether to retry an unavailable source: after a restart it must not stop the other streams."""
        return self.config.capture.retry_first_open or self.restarts > 0

    def _make_source(self, stream: StreamConfig) -> Source:
        """Creates the source that the reader will open, so that an invalid value is reported early."""
        try:
            return open_source(stream.source, self._options)
        except SourceError as error:
            raise WorkerError(str(error)) from error

    def _make_stream(
        self, stream: StreamConfig, source: Source, *, lone: bool, patient: bool
    ) -> CaptureStream:
        """The stream of a source; ``lone`` if it is the only live one."""
        config, capture = self.config, self.config.capture
        policy: Policy = ("newest" if source.live else "every") if stream.policy == "auto" else stream.policy
        before = self._before.pop(stream.id, None)
        reader = Reader(
            partial(open_source, stream.source, self._options),
            policy=policy,
            backoff=Backoff(
                capture.reconnect_backoff_s,
                capture.reconnect_jitter,
                capture.reconnect_lone_s if lone else math.inf,
            ),
            ring_frames=capture.ring_frames,
            retry_first_open=patient,
            max_frames=config.run.frames,
            pace=stream.pace,
            first_epoch=self.first_epochs.get(stream.id, 0),
            after=before.reader if before else None,
            on_change=self._wake.set,
            held=True,
        )
        return CaptureStream(
            stream,
            policy,
            source.live,
            reader,
            self._publisher,
            self._freshness,
            self.stats,
            notify=self.event,
            mark=partial(self.mark_output, stream.id),
            after=before,
        )

    def _wait_until_open(self, timeout_s: float) -> None:
        """Waits for the first frame of each source; only live sources time out.

        Does not wait for a live source that may be unavailable at startup.
        """
        deadline_ns = now_ns() + int(timeout_s * 1e9)
        needed = [stream for stream in self._streams if not (stream.live and self._patient)]
        while waiting := [stream for stream in needed if stream.reader.state == "waiting"]:
            self._refuse_failed()
            late = [stream.id for stream in waiting if stream.live]
            if late and now_ns() > deadline_ns:
                raise WorkerError(f"{late[0]}: no frame after {timeout_s:g} s: is the camera on?")
            self._publisher.listeners()  # reads messages of peers, so that they do not accumulate
            self._wake.wait(0.01)
            self._wake.clear()
        self._refuse_failed()

    def _refuse_failed(self) -> None:
        for stream in self._streams:
            if stream.reader.error and not stream.started:
                raise WorkerError(str(stream.reader.error))

    def _start_heard(self) -> bool:
        """Starts the readers of streams that have all required receivers; returns whether any are missing."""
        capture = self.config.capture
        waiting = [stream for stream in self._streams if not stream.started]
        absent: set[str] = set()
        for stream in waiting:
            missing = self._listeners.absent_from(stream.policy, stream.id)
            absent.update(missing)
            if not missing:
                stream.start()
        self._listeners.report([role for role in capture.wait_for if role in absent])
        if not waiting or self.config.control.listen:
            return bool(absent)
        if not self.restarts:
            self._refuse_failed()  # an invalid URL causes an error only when it is opened
        if absent and 0 < capture.wait_timeout_s < (now_ns() - self._opened_ns) / 1e9:
            raise WorkerError(
                f"no listeners: {' and '.join(sorted(absent))} did not connect within "
                f"{capture.wait_timeout_s:g} s; start them, or remove them from capture.wait_for"
                f"{self._publisher.refused_lately()}"
            )
        return bool(absent)

    # -- frames out --------------------------------------------------------------------------------

    def _forward_in_turn(self) -> bool:
        """Sends at most one frame of each stream; False if none could be sent."""
        sent = [
            stream for stream in self._streams if stream.started and stream.forward(hold=self._holds(stream))
        ]
        # Streams that sent a frame go to the end, so that scarce queue room is shared by all.
        self._streams = [stream for stream in self._streams if stream not in sent] + sent
        return bool(sent)

    def _holds(self, stream: CaptureStream) -> bool:
        """Whether an every-frame stream is paused for a worker that is being restarted."""
        return stream.policy == "every" and bool(self._listeners.absent_from("every", stream.id))

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
