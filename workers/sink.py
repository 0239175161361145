"""The sink worker: joins frames with predictions, draws them and passes them to the outputs."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pipeline.account.stats import add_counts
from pipeline.base.clock import now_ns
from pipeline.base.errors import WireError
from pipeline.base.event import Event
from pipeline.base.evidence import evidence_folder
from pipeline.base.role_names import Listener
from pipeline.base.watched import Watch
from pipeline.flow.age_limit import AgeLimit
from pipeline.flow.joiner import Joined
from pipeline.scene.crossing_counts import CrossingCounts
from pipeline.scene.sentence import event_in_words, is_answered
from pipeline.scene.stream_rules import RULES_CHANGED
from pipeline.view.typesetting import load_system_fonts
from pipeline.view.web.board import Attended, picture_info
from pipeline.view.web.verbs import Asked, Done, Verb
from pipeline.view.window import Window, open_window
from pipeline.wire.arrivals import ReceivedFrame, ReceivedPrediction
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import BadPicture, EndOfStream, TakeView
from pipeline.wire.receivers import PredictionReceiver
from pipeline.wire.subscriber import wait_any
from workers.base import Worker
from workers.data_outputs import DataOutputs
from workers.evidence_taking import EvidenceTaking
from workers.keeping import Keeping
from workers.link_verbs import Receivers
from workers.other_workers import OtherWorkers
from workers.recording import Recording, unlist
from workers.recording_shelf import RecordingShelf
from workers.roles import connected_endpoints
from workers.sending import Sending
from workers.signal_watch import SILENT_NS
from workers.sink_stream import SinkStream
from workers.source_check import live_streams
from workers.view_taking import ViewTaking
from workers.watch_replacing import WatchReplacing, with_watch
from workers.worker_watch import WorkerWatch

if TYPE_CHECKING:
    from pipeline.view.web.server import WebView

_QUIET_NS = 500_000_000
_FINISH_ALONE_NS = 2_000_000_000


class SinkWorker(Worker):
    """Shows every frame once, in order, with its own prediction if that arrived in time."""

    role: ClassVar[Listener] = "sink"
    _web: "WebView | None" = None
    _others: OtherWorkers | None = None

    def verbs(self) -> list[Verb]:
        """``GET /streams``: the generation of each stream; older predictions are refused."""
        return [Verb("GET", "/streams", self._list)]

    def _list(self, _: Asked) -> Done:
        known = self._answers.generations
        return Done({"streams": [{"stream_id": n, "generation": known.get(n, 0)} for n in self._streams]})

    def open(self) -> None:
        """Opens the outputs, then listens for frames and predictions."""
        self._replacing = WatchReplacing(self.config, is_restarted=self.restarts > 0, report=self.event)
        self.config = with_watch(self.config, self._replacing.watch)
        self._taking = ViewTaking(self._replacing, self._replace_watch, self._ask_for_view)
        sink, config = self.config.sink, self.config
        self._give_way(sink.nice)
        load_system_fonts()
        self._streams: dict[str, SinkStream] = {}
        self._crossed = CrossingCounts()
        self._age_limit = AgeLimit(config.wire.max_frame_age_ms)
        folder = Path(config.run.output_dir) if sink.record and config.run.output_dir else None
        self._recordings = self._open_recordings(folder) if folder else None
        self._evidence = EvidenceTaking(self)  # closed last: it may take longest
        self._sending = Sending(config, self.stats.details, self.event, self.note_loss)
        self.resources.callback(self._sending.close)
        self._keeping, self._workers = Keeping(self), WorkerWatch(now_ns())
        if sink.web:
            from pipeline.view.web.put_zones import read_token  # slow import: loads the web server
            from pipeline.view.web.server import WebView

            self._web = WebView(
                sink.web_host,
                sink.web_port,
                sink.web_fps,
                watch=self._replacing.watch,
                crossed=self._crossed,
                kept=self._keeping.newest if config.store_file() else None,
                kept_motion=self._keeping.motion if config.store_file() else None,
                evidence=partial(evidence_folder, root) if (root := config.evidence_folder()) else None,
                token=read_token(sink.web_token_file) if sink.web_token_file else None,
                replace_watch=self._replacing.ask,
                take_view=self._taking.ask,
            )
            self.resources.callback(self._web.close)
            self._web.start()
            self.stats.details["web"] = {"url": self._web.url}
            self.event(f"web page: {self._web.url}")
        # a restarted sink does not know which cameras were already silent
        self._expected = dict.fromkeys(live_streams(config), now_ns()) if self.restarts else {}
        self._window: Window | None = None
        if sink.window:
            self._window = self.resources.enter_context(open_window("KVQ Stream"))
        # after the page and the window: if either fails, no empty file is left behind
        self._outputs = DataOutputs(self)
        for event in self._keeping.adopted:
            self._evidence.take(event, 0)
            self._sending.hand_over(event)
            if self.restarts:  # the same file contains their start events
                self._outputs.write_event(event)
            if self.restarts and event.kind == "signal_lost":
                self._stream(event.stream_id).lost_before(event)
            elif self.restarts and event.kind == "worker_down":
                self._workers.down_before(event)
        frames, predictions = connected_endpoints(self.role, config.endpoints)
        self._frames = self.receives(FrameReceiver(frames, self.role, config.wire, self.security))
        self._answers = self.receives(PredictionReceiver(predictions, config.wire, self.security))
        others = OtherWorkers(config, self.security, self.down, self.links, self._arrived, self.event)
        self._others = self.resources.enter_context(others)
        self.resources.callback(self._listen_no_more)

    def receivers(self) -> Receivers:
        """See ``Worker``."""
        return {"frames": self._frames, "predictions": self._answers}

    def tick(self, timeout_s: float) -> bool:
        """Receives messages and shows the frames that are ready.

        Returns:
            False when its window or reserved standard output was closed.
        """
        self._replacing.take(partial(self._replace_watch, why=RULES_CHANGED))
        self._turn(timeout_s)
        self._keeping.check()
        self._evidence.check()
        if self._recordings:
            self._recordings.check()
        window_closed = self._window is not None and self._window.closed
        return not (window_closed or self._outputs.has_lost_its_reader)

    def finish(self, deadline_ns: int) -> None:
        """Shows remaining frames until the streams end; frames left at the deadline are counted."""
        self._replacing.asking.refuse("the sink is stopping")
        if self.alone:  # capture continues, so the streams do not end
            deadline_ns = min(deadline_ns, now_ns() + _FINISH_ALONE_NS)
        quiet_since_ns = now_ns()
        while now_ns() < min(deadline_ns, quiet_since_ns + _QUIET_NS):
            if self._turn(0.01):
                quiet_since_ns = now_ns()
            elif all(stream.stats.state == "ended" for stream in self._streams.values()):
                break
            self.publish_stats_if_due()
        self._tell_of_workers(self._workers.end("the sink was stopped", now_ns()))
        for stream in self._streams.values():
            stream.discard()

    def publish_stats(self) -> None:
        """Sends the statistics; reports the state of other workers as events and on the page."""
        super().publish_stats()
        if self._web:
            self._web.take_stats(self.stats, self.links())
        if self._others is None:
            return
        self._others.poll()
        if self._web:
            self._web.take_workers(self._others.troubles, self._others.sources)
        if self.stats.state == "ready":  # at shutdown the others stop, too
            streams = [name for name, stream in self._streams.items() if stream.stats.state != "ended"]
            self._tell_of_workers(
                self._workers.look(now_ns(), self._others.outages, self._others.up, streams)
            )

    def _tell_of_workers(self, events: list[Event]) -> None:
        for event in events:
            self._stream(event.stream_id).tell_all([event])

    def _arrived(self) -> dict[str, dict[str, int]]:
        return {stream_id: stream.arrived_ns for stream_id, stream in self._streams.items()}

    def _listen_no_more(self) -> None:
        self._others = None  # already closed when the last statistics are sent

    # -- before the first frame --------------------------------------------------------------------

    @staticmethod
    def _give_way(nice: int) -> None:
        """Lowers the priority below capture and inference; never raises it."""
        with suppress(OSError):
            os.nice(max(0, nice - os.nice(0)))

    def _stream(self, stream_id: str) -> SinkStream:
        if stream_id not in self._streams:
            self._sending.add_stream(stream_id)
            self._streams[stream_id] = SinkStream(
                stream_id,
                self.config,
                self._age_limit,
                self.stats,
                self._recording(stream_id),
                self._tell,
                self._keeping.log,
                self._crossed,
            )
        return self._streams[stream_id]

    def _open_recordings(self, folder: Path) -> RecordingShelf:
        sink, former = self.config.sink, folder if self.restarts else None
        removed = partial(unlist, self.stats.details, former)
        shelf = RecordingShelf(folder, sink.record_keep_days, sink.record_max_mb, removed)
        return self.resources.enter_context(shelf)

    def _recording(self, stream_id: str) -> Recording | None:
        if self._recordings is None:
            return None
        recording = Recording(
            stream_id,
            self.config.sink.record_segment_s,
            self._recordings,
            self.stats.details,
            self.event,
            self.note_loss,
            is_first=not self.restarts,
        )
        self.resources.callback(recording.close)
        return recording

    # -- frames and predictions in -----------------------------------------------------------------

    def _turn(self, timeout_s: float) -> bool:
        """Runs one turn; returns whether a frame has arrived or is waiting."""
        if any(map(len, self._streams.values())):
            timeout_s = min(timeout_s, max(self.config.sink.sync_timeout_ms / 1e3 / 8, 0.001))
        room = min((stream.room for stream in self._streams.values() if stream.room is not None), default=1)
        wait_any(timeout_s, (*self._frames.lanes(room > 0), *self._answers.lanes()))
        # Predictions first: a frame arrives no later than the prediction made from it.
        for answer in self._answers.poll(0.0):
            self._take_answer(answer)
        arrived = self._frames.poll(0.0, max_every=room)
        for received in arrived:
            self._take(received)
        self._show_ready()
        return bool(arrived) or any(map(len, self._streams.values()))

    def _take_answer(self, answer: ReceivedPrediction | BadPicture | EndOfStream) -> None:
        about = answer.prediction if isinstance(answer, ReceivedPrediction) else answer
        if isinstance(answer, ReceivedPrediction):  # move zones before rules use them
            self._taking.see(answer.prediction, [*self._streams, *(one.id for one in self.config.streams)])
        self._stream(about.stream_id).take_prediction(answer)
        if isinstance(answer, ReceivedPrediction):
            self._outputs.write_prediction(answer)

    def _tell(self, event: Event) -> None:
        event = self._evidence.take(event, self._streams[event.stream_id].judged_ns)
        if not is_answered(event):
            self.event(f"{event.stream_id}: {event_in_words(event)}")
        self._sending.hand_over(event)
        self._keeping.keep(event)
        if self._web:
            self._web.tell(event)
        self._outputs.write_event(event)

    def _replace_watch(self, watch: Watch, why: str) -> None:
        self.config = with_watch(self.config, watch)
        for stream in self._streams.values():
            stream.replace_watch(watch, why)
        if self._web:
            self._web.replace_watch(watch)
        self.event(f"zones, lines and rules were replaced: {why}")

    def _ask_for_view(self, wanted: TakeView) -> None:
        self._answers.ask_for_view(wanted)

    def _take(self, received: ReceivedFrame | EndOfStream) -> None:
        if isinstance(received, EndOfStream):
            self._stream(received.stream_id).take_end(received)
            return
        try:
            self._stream(received.header.stream_id).take_frame(received)
        except WireError as error:
            self._frames.rejects.add(received.header.stream_id, error)

    # -- frames out --------------------------------------------------------------------------------

    def _show_ready(self) -> None:
        for stream_id, since_ns in list(self._expected.items()):
            if stream_id in self._streams or now_ns() - since_ns >= SILENT_NS:
                del self._expected[stream_id]
                self._stream(stream_id).expect(since_ns)
        for stream in self._streams.values():
            for joined in stream.pop_ready():
                self._show(stream, joined)
            if stream.finished:
                stream.stats.state = "ended"
                if self._web:
                    self._web.end(stream.id)
                if stream.recording:
                    stream.recording.close()
        for event in self._web.pop_events() if self._web else ():
            self.event(event)
        self._sending.report()

    def _show(self, stream: SinkStream, joined: Joined[ReceivedPrediction]) -> None:
        stats, frame = stream.stats, joined.frame
        joined_ns = now_ns()
        latency_ms = (joined_ns - frame.capture_ns) / 1e6
        shown = stream.shown(joined, latency_ms)
        picture = stream.draw(joined, shown)
        drawn_ns = now_ns()
        self._evidence.see(frame.image, shown)
        stream.record(picture, frame)
        if self._web:
            prediction = joined.prediction.prediction if joined.prediction else None
            trouble = stream.trouble(frame)
            info = picture_info(frame, prediction, trouble, fps=stats.fps, latency_ms=latency_ms)
            answer = joined.prediction
            attended = None
            if answer and answer.attention is not None:
                past_images = stream.past_images(shown)
                attended = Attended(answer.prediction, answer.attention, frame.image, past_images)
            self._web.publish(stream.id, picture, info, attended, frame.image)
        if self._window:
            self._window.show(stream.id, picture)
        shown_ns = now_ns()
        stats.rendered += 1
        if joined.outcome != "predicted":
            add_counts(stats.rendered_without, {joined.outcome: 1})
        stats.record("sink_wait", joined_ns - frame.received_ns)
        stats.record("draw", drawn_ns - joined_ns)
        stats.record("output", shown_ns - drawn_ns)
        stats.record("capture_to_render", shown_ns - frame.capture_ns)
        self.mark_output(stream.id, shown_ns)
