"""The sink worker: joins frames with their predictions, draws, and hands the pictures on."""

import os
import tempfile
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.account.stats import StreamStats, add_counts
from pipeline.base.clock import now_ns
from pipeline.base.errors import WireError
from pipeline.base.frame import Frame, Image
from pipeline.base.roles import Listener
from pipeline.flow.gaps import GapTracker
from pipeline.flow.joiner import Joined, Joiner
from pipeline.view.attention_overlay import make_thumbnail
from pipeline.view.jsonl import PredictionWriter, PredictionWriterError
from pipeline.view.overlay import draw_overlay
from pipeline.view.recorder import Recorder, RecorderError
from pipeline.view.web import WebView, picture_info
from pipeline.view.window import Window, open_window
from pipeline.wire.messages import EndOfStream, Prediction
from pipeline.wire.transport import (
    FrameReceiver,
    PredictionReceiver,
    ReceivedFrame,
    ReceivedPrediction,
    wait_any,
)
from workers.base import Worker, WorkerError
from workers.roles import connected_endpoints

_THUMBNAILS = 64
_VIDEOS = 500
_QUIET_NS = 500_000_000
_FINISH_ALONE_NS = 2_000_000_000


@dataclass
class _Stream:
    """One stream: frames that wait for their predictions, and what the overlay needs of the past."""

    joiner: Joiner[ReceivedPrediction]
    gaps: GapTracker = field(default_factory=GapTracker)
    thumbnails: OrderedDict[tuple[int, int, int], Image] = field(default_factory=OrderedDict)
    recorder: Recorder | None = None
    recording: bool = True
    held: Prediction | None = None
    ended: EndOfStream | None = None
    waits: bool = False  # for room; frames of a camera push older ones out


class SinkWorker(Worker):
    """Shows every frame once, in order, with its own prediction if that came in time."""

    role: ClassVar[Listener] = "sink"

    def open(self) -> None:
        """Opens the outputs, then listens for frames and predictions."""
        sink, config = self.config.sink, self.config
        self._give_way(sink.nice)
        self._streams: dict[str, _Stream] = {}
        self._folder = Path(config.run.output_dir) if sink.record and config.run.output_dir else None
        if self._folder:
            _make_writable(self._folder)
        self._predictions: PredictionWriter | None = None
        if sink.predictions:
            stdout = self.stdout.fileno() if self.stdout else None
            self._predictions = PredictionWriter(sink.predictions, append=self.restarts > 0, stdout=stdout)
            self.figures.details["predictions"] = {"path": str(self._predictions.path)}
            if made := self._predictions.made_folder:
                self.figures.details["predictions"]["made_folder"] = str(made)
                self.event(f"predictions: made the folder {made}")
        self._web = WebView(sink.web_host, sink.web_port, sink.web_fps) if sink.web else None
        if self._web:
            self._web.start()
            self.figures.details["web"] = {"url": self._web.url}
            self.event(f"web page: {self._web.url}")
        self._window: Window | None = open_window("KVQ Stream") if sink.window else None
        frames, predictions = connected_endpoints(self.role, config.endpoints)
        self._frames = FrameReceiver(frames, self.role, config.wire, self.security)
        self._answers = PredictionReceiver(predictions, config.wire, self.security)

    @staticmethod
    def _give_way(nice: int) -> None:
        """Lets capture and inference have the cores first; whoever is nicer already stays so."""
        with suppress(OSError):
            os.nice(max(0, nice - os.nice(0)))

    def tick(self, timeout_s: float) -> bool:
        """Takes in what has arrived and shows the frames whose waiting is over; False when closed by hand."""
        self._turn(timeout_s)
        return not (self._window and self._window.closed)

    def _turn(self, timeout_s: float) -> bool:
        """One turn; whether any frame has arrived or still waits."""
        if any(len(stream.joiner) for stream in self._streams.values()):
            timeout_s = min(timeout_s, max(self.config.sink.sync_timeout_ms / 1e3 / 8, 0.001))
        room = min((stream.joiner.room for stream in self._streams.values() if stream.waits), default=1)
        wait_any(timeout_s, (*self._frames.lanes(room > 0), *self._answers.lanes()))
        # Predictions first: a frame is never older than the prediction that is made of it.
        for answer in self._answers.poll(0.0):
            self._take_answer(answer)
        arrived = self._frames.poll(0.0, max_every=room)
        for received in arrived:
            self._take(received)
        for reject in self._frames.rejects.pop_reports() + self._answers.rejects.pop_reports():
            self.event(reject)
        self._show_ready()
        return bool(arrived) or any(len(stream.joiner) for stream in self._streams.values())

    def finish(self, deadline_ns: int) -> None:
        """Shows what still comes until the streams end; frames that are left at the deadline are counted."""
        if self.alone:  # nobody stops the cameras for it
            deadline_ns = min(deadline_ns, now_ns() + _FINISH_ALONE_NS)
        quiet_since_ns = now_ns()
        while now_ns() < min(deadline_ns, quiet_since_ns + _QUIET_NS):
            if self._turn(0.01):
                quiet_since_ns = now_ns()
            elif all(self.figures.stream(stream_id).state == "ended" for stream_id in self._streams):
                break
            self.publish_stats_if_due()
        for stream_id, stream in self._streams.items():
            self.figures.stream(stream_id).drop("sink.stopped", len(stream.joiner))

    def close(self) -> None:
        """Finishes the files and gives everything back."""
        for stream in getattr(self, "_streams", {}).values():
            if stream.recorder:
                self._close_recorder(stream)
        for name in ("_predictions", "_window", "_web", "_frames", "_answers"):
            if output := getattr(self, name, None):
                output.close()

    # -- frames and predictions in -----------------------------------------------------------------

    def _stream(self, stream_id: str) -> _Stream:
        if stream_id not in self._streams:
            sink = self.config.sink
            joiner = Joiner[ReceivedPrediction](
                sink.ring_frames, int(sink.sync_timeout_ms * 1e6), int(sink.patience_ms * 1e6)
            )
            self._streams[stream_id] = _Stream(joiner)
        return self._streams[stream_id]

    def _take_answer(self, answer: ReceivedPrediction | EndOfStream) -> None:
        if isinstance(answer, EndOfStream):
            self._stream(answer.stream_id).joiner.end_predictions(answer.session)
            return
        prediction = answer.prediction
        self._stream(prediction.stream_id).joiner.add_prediction(prediction.id, answer, now_ns())
        if self._predictions and not self._predictions.closed:
            try:
                self._predictions.write(prediction)
            except PredictionWriterError as error:
                self.event(f"predictions are no longer written: {error}")

    def _take(self, received: ReceivedFrame | EndOfStream) -> None:
        about = received if isinstance(received, EndOfStream) else received.header
        stream, stats = self._stream(about.stream_id), self.figures.stream(about.stream_id)
        if isinstance(received, EndOfStream):
            gap = stream.gaps.update(received.id, received.skipped)
            stream.ended = received
        else:
            header = received.header
            gap = stream.gaps.update(header.id, header.skipped, header.source_size)
            stats.state, stats.epoch = "up", header.epoch
            stream.ended, stream.waits = None, header.policy == "every"
            try:
                self._add(stream, stats, received.decode(full_size=True))
            except WireError as error:
                self._frames.rejects.add(header.stream_id, error)
                stats.drop("wire.overwritten" if error.reason == "overwritten" else "sink.undecodable")
        stats.drop("wire.lost", gap.lost)
        stats.drop("sink.absent", gap.absent)
        stats.seen = stream.gaps.seen

    def _add(self, stream: _Stream, stats: StreamStats, frame: Frame) -> None:
        if stream.joiner.add_frame(frame) is not None:
            stats.drop("sink.overflow")
        # A small copy stays: later predictions will say that they looked at this frame.
        stream.thumbnails[frame.id.session, frame.id.epoch, frame.id.seq] = make_thumbnail(frame.image)
        while len(stream.thumbnails) > _THUMBNAILS:
            stream.thumbnails.popitem(last=False)

    # -- pictures out ------------------------------------------------------------------------------

    def _show_ready(self) -> None:
        for stream_id, stream in self._streams.items():
            while (joined := stream.joiner.pop_ready(now_ns())) is not None:
                self._show(stream_id, stream, joined)
            if stream.ended and not len(stream.joiner):
                self.figures.stream(stream_id).state = "ended"
                if self._web:
                    self._web.end(stream_id)
                if stream.recorder:
                    self._close_recorder(stream)

    def _show(self, stream_id: str, stream: _Stream, joined: Joined[ReceivedPrediction]) -> None:
        stats, frame = self.figures.stream(stream_id), joined.frame
        joined_ns = now_ns()
        answer = joined.prediction
        prediction = answer.prediction if answer else None
        if prediction:
            stream.held = prediction
        elif stream.held and (stream.held.session, stream.held.epoch) != (frame.id.session, frame.id.epoch):
            stream.held = None
        picture = draw_overlay(
            frame,
            prediction,
            answer.attention if answer else None,
            self._past_images(stream, prediction),
            held=stream.held,
            fps=stats.fps or None,
            latency_ms=(joined_ns - frame.capture_ns) / 1e6,
        )
        drawn_ns = now_ns()
        self._record(stream_id, stream, frame, picture)
        if self._web:
            latency_ms = (joined_ns - frame.capture_ns) / 1e6
            self._web.publish(
                stream_id, picture, picture_info(frame, prediction, fps=stats.fps, latency_ms=latency_ms)
            )
        if self._window:
            self._window.show(stream_id, picture)
        shown_ns = now_ns()
        stats.rendered += 1
        if joined.outcome != "predicted":
            add_counts(stats.rendered_without, {joined.outcome: 1})
        stats.record("sink_wait", joined_ns - frame.received_ns)
        stats.record("draw", drawn_ns - joined_ns)
        stats.record("output", shown_ns - drawn_ns)
        stats.record("capture_to_render", shown_ns - frame.capture_ns)
        self.mark_output(stream_id, shown_ns)

    @staticmethod
    def _past_images(stream: _Stream, prediction: Prediction | None) -> list[Image | None]:
        if prediction is None:
            return []
        ids = [(prediction.session, past.epoch, past.seq) for past in prediction.past]
        return [stream.thumbnails.get(frame_id) for frame_id in ids]

    def _record(self, stream_id: str, stream: _Stream, frame: Frame, picture: npt.NDArray[np.uint8]) -> None:
        if self._folder is None or not stream.recording:
            return
        try:
            if stream.recorder is None:
                stream.recorder = Recorder(self._folder / f"{stream_id}.mp4")
            stream.recorder.write(picture, frame.time_ns)
            path, newest = str(stream.recorder.path), self.figures.details.setdefault("video", {})
            if newest.get(stream_id) != path:
                newest[stream_id] = path
                self._note_video(path, stream_id)
                self.event(f"{stream_id}: recording {path}")
        except RecorderError as error:
            stream.recording = False
            self.event(f"{stream_id}: recording stopped: {error}")

    def _note_video(self, path: str, stream_id: str) -> None:
        """Keeps the list of files; a camera that changes its size all day must not make figures too long."""
        videos = self.figures.details.setdefault("videos", {})
        videos[path] = stream_id
        if len(videos) > _VIDEOS:
            del videos[next(iter(videos))]

    def _close_recorder(self, stream: _Stream) -> None:
        recorder, stream.recorder = stream.recorder, None
        try:
            if recorder:
                recorder.close()
        except RecorderError as error:
            self.event(f"recording: {error}")


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        with suppress(OSError):  # the recorder makes it again: a run that fails leaves no empty folder
            folder.rmdir()
    except OSError as error:
        raise WorkerError(
            f"{folder}: can't write videos there: {error.strerror}; choose another folder with run.output_dir"
        ) from error
