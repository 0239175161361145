"""The inference worker: one backbone pass for each new frame, with cached past frames."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import ClassVar

import numpy as np

from pipeline.base.clock import now_ns
from pipeline.base.errors import WireError
from pipeline.base.role_names import Listener
from pipeline.flow.age_limit import AgeLimit
from pipeline.flow.batching import BatchWindow
from pipeline.flow.load_meter import LoadMeter
from pipeline.flow.unchanged import KeptBytes
from pipeline.runtime.step import Memory, Result
from pipeline.view.web.verbs import Verb
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.encoding import encode_prediction
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import AttentionHeader, EndOfStream, FrameHeader, Identity, PastFrame, Prediction
from pipeline.wire.motion_maps import pack_maps
from pipeline.wire.publisher import SMALL_QUEUE, Publisher
from workers.assignment import Assignment, drops
from workers.base import RETRY_S, TICK_S, Worker
from workers.configured_runtime import configured_runtime
from workers.inference_stream import InferenceStream
from workers.link_verbs import Receivers
from workers.rebuilding import rebuild, rebuild_ahead
from workers.reference_views import ReferenceViews
from workers.roles import bound_endpoint, connected_endpoints
from workers.rundir import folder_of_run
from workers.sharing import own_streams
from workers.standby import Standby
from workers.turn import Turn

_SHARE_KEPT = 0.25
"""Share of ``wire.max_memory_mb`` for stored images used to recognise unchanged frames."""


class InferenceWorker(Worker):
    """Receives frames, batches streams into one step, and sends predictions."""

    role: ClassVar[Listener] = "inference"
    _assignment: Assignment | None = None

    def verbs(self) -> list[Verb]:
        """See ``Assignment``."""
        self._assignment = Assignment(self)
        return self._assignment.verbs()

    @property
    def name(self) -> str:
        """This worker's name."""
        return self.stats.worker

    def open(self) -> None:
        """Loads the model, warms it up, then listens for frames."""
        config = self.config
        self.runtime = configured_runtime(config)
        self._most = config.inference.max_batch or self.runtime.most_streams
        self._own = own_streams(config)
        many = len(config.streams if not self._own else self._own)
        self._usual = min(max(many, 1), self._most)
        self.runtime.warm_up(self._usual)
        self.stats.details = {"runtime": self.runtime.describe(), "model": self.runtime.describe_model()}
        endpoint = bound_endpoint(self.role, config.endpoints)
        self._views = ReferenceViews(
            config,
            self.runtime,
            kept_in=folder_of_run(endpoint),
            is_restarted=self.restarts > 0,
            report=self.event,
        )
        self.streams: dict[str, InferenceStream] = {}
        self.standby: dict[str, Standby] = {}
        self.load = LoadMeter(now_ns())
        self._age_limit = AgeLimit(config.wire.max_frame_age_ms)
        self._kept = KeptBytes(int(config.wire.max_memory_mb * _SHARE_KEPT * 2**20))
        self._window = BatchWindow(config.inference.batch_window_ms)
        self.publisher = self.publishes(Publisher(endpoint, config.wire, self.security, queue=SMALL_QUEUE))
        self._listeners = self.waits_for(self.publisher, config.inference.wait_for, "inference.wait_for")
        self.receiver: FrameReceiver | None = None

    def tick(self, timeout_s: float) -> bool:
        """Receives messages and runs one step on the frames that are due."""
        if self.receiver is None and not self._listen(timeout_s):
            return True
        if any(stream.outbox for stream in self.streams.values()):
            timeout_s = min(timeout_s, RETRY_S)
        is_busy = any(stream.is_ready or stream.again.expected for stream in self.streams.values())
        self._receive(0.0 if is_busy else timeout_s)
        for wanted in self.publisher.pop_views_wanted():
            self._views.want(wanted)
        assert self.receiver is not None
        if turns := self._next_turns({}):
            self._step(self._wait_for_others(turns))
        else:
            late = [stream.again for stream in self.streams.values()]
            rebuild_ahead(late, self.runtime, self._usual, self.receiver.rejects)
        if self._assignment:
            self._assignment.give_up_standby()
        if self.load.is_due(now_ns()):
            totals = {name: drops(stream.stats.not_predicted) for name, stream in self.streams.items()}
            self.load.dropped(now_ns(), totals)
        for stream in self.streams.values():
            stream.flush(self.publisher)
            if feedback := stream.pop_feedback(now_ns()):
                self.receiver.send_feedback(feedback)
        return True

    def receivers(self) -> Receivers:
        """See ``Worker``."""
        return {"frames": self.receiver} if self.receiver else {}

    def turn(self, timeout_s: float) -> None:
        """Runs a tick inside a waiting HTTP operation, so that other work continues."""
        self.tick(timeout_s)
        self.publish_stats_if_due()

    def finish(self, deadline_ns: int) -> None:
        """Predicts the frames that it already has; those left at the deadline are counted."""
        while now_ns() < deadline_ns and any(stream.is_busy for stream in self.streams.values()):
            self.tick(0.0)
            self.publish_stats_if_due()
        for stream in self.streams.values():
            stream.discard()

    # -- frames in ---------------------------------------------------------------------------------

    def _listen(self, timeout_s: float) -> bool:
        """Connects to capture once predictions have a receiver: earlier predictions would be lost."""
        absent = self._listeners.absent()
        self._listeners.report(absent)
        if absent:
            time.sleep(min(timeout_s, 0.02))
            return False
        (frames,) = connected_endpoints(self.role, self.config.endpoints)
        self.receiver = self.receives(
            FrameReceiver(frames, self.role, self.config.wire, self.security, self._own, replay=True)
        )
        return True

    def _receive(self, timeout_s: float) -> None:
        """Receives all newest-frame messages, and every-frame ones until one of their streams is full."""
        assert self.receiver is not None
        more = True
        while more:
            received = self.receiver.poll(timeout_s, max_every=self._room())
            for one in received:
                self._take(one)
            more = any(isinstance(one, ReceivedFrame) and one.header.policy == "every" for one in received)
            timeout_s = 0.0

    def _room(self) -> int:
        """Number of every-frame messages that fit, whichever streams they belong to."""
        # A prediction without a receiver is lost, so files wait for the required receivers.
        if self._listeners.absent():
            return 0
        takers: list[InferenceStream | Standby] = [*self.streams.values(), *self.standby.values()]
        rooms = (taker.room for taker in takers)
        return max(min((room for room in rooms if room is not None), default=1), 0)

    def _take(self, received: ReceivedFrame | EndOfStream) -> None:
        about = received if isinstance(received, EndOfStream) else received.header
        if isinstance(about, FrameHeader):
            self.prepare(about.height, about.width)
        if standby := self.standby.get(about.stream_id):
            standby.take(received)
            return
        stream = self.streams.get(about.stream_id) or self.add_stream(about.stream_id)
        if isinstance(received, EndOfStream):
            stream.take_end(received)
            self._window.forget(stream.id)
        else:
            stream.take(received)
            self._window.arrived(stream.id, received.received_ns)

    def add_stream(self, stream_id: str, generation: int = 0) -> InferenceStream:
        """Starts predicting a stream; replaces an existing one of this name."""
        self.streams[stream_id] = stream = InferenceStream(
            stream_id,
            self.config,
            self.runtime.num_past,
            self._age_limit,
            self.stats,
            self.event,
            self._kept,
            self._views.home(stream_id),
            generation,
        )
        return stream

    def drop_stream(self, stream_id: str) -> None:
        """Removes a stream."""
        del self.streams[stream_id]
        self._window.forget(stream_id)

    def prepare(self, height: int, width: int) -> None:
        """Prepares the model for a new image size; keeps sending statistics so that it does not look hung."""
        size = self.runtime.size_of(height, width)
        if self.runtime.is_ready(size):
            return
        rows, columns = size
        self.event(f"preparing the model for images of {columns}x{rows} px")
        with ThreadPoolExecutor(1) as helper:
            opening = helper.submit(self.runtime.warm_up, self._usual, size)
            while not wait([opening], TICK_S).done:
                self.publish_stats_if_due()
        opening.result()
        self.event(f"ready for images of {columns}x{rows} px")

    # -- one step ----------------------------------------------------------------------------------

    def _next_turns(self, turns: dict[str, Turn]) -> dict[str, Turn]:
        """Adds at most one frame of each other stream; streams that do not fit come first next time."""
        assert self.receiver is not None
        begun = [stream.again for stream in self.streams.values() if stream.is_ready]
        rebuild(begun, self.runtime, self._usual, self.receiver.rejects)
        for stream in list(self.streams.values()):
            if len(turns) >= self._most:
                break
            if stream.id in turns or not stream.is_ready:
                continue
            self.streams[stream.id] = self.streams.pop(stream.id)
            try:
                turn = stream.next(now_ns())
            except WireError as error:
                self.receiver.rejects.add(stream.id, error)
            else:
                turns |= {stream.id: turn} if turn else {}
        return turns

    def _wait_for_others(self, turns: dict[str, Turn]) -> dict[str, Turn]:
        """Waits briefly for streams whose next frame is due, and adds their frames."""
        started_ns = now_ns()
        while len(turns) < self._most:
            missing = (s.id for s in self.streams.values() if s.id not in turns and not s.outbox)
            left_ns = self._window.until_ns(started_ns, missing) - now_ns()
            if left_ns <= 0:
                break
            self._receive(left_ns / 1e9)
            turns = self._next_turns(turns)
        return turns

    def _step(self, by_stream: dict[str, Turn]) -> None:
        started_ns = now_ns()
        turns: list[Turn] = []
        for name, turn in by_stream.items():
            result = self.streams[name].find_result(turn)
            if result is None or turn.known is None:
                turns.append(turn)
            else:
                self._send(turn, result, started_ns, now_ns())
                self._remember(turn, result, turn.known, passes=0)
        if turns:
            self._infer(turns, started_ns)
        self.load.stepped(started_ns, now_ns(), by_stream)

    def _infer(self, turns: Sequence[Turn], started_ns: int) -> None:
        step = self.runtime.infer(
            [turn.frame.image for turn in turns],
            [turn.entries for turn in turns],
            want_attention=self.config.inference.attention,
            known=[turn.known for turn in turns],
        )
        predicted_ns = now_ns()
        for turn, result in zip(turns, step.results, strict=True):
            self._send(turn, result, started_ns, predicted_ns)
        new = sum(turn.known is None for turn in turns)
        for turn, result, memory in zip(turns, step.results, step.remember(), strict=True):
            self._remember(turn, result, memory, passes=step.backbone_passes // new if new else 0)
        self._window.stepped(now_ns() - started_ns)

    def _remember(self, turn: Turn, result: Result, memory: Memory, passes: int) -> None:
        frame, stream = turn.frame, self.streams[turn.frame.id.stream_id]
        stream.remember(turn, result, memory, passes)
        home, take = stream.home, self._views.is_wanted(stream.id)
        if home is None or not (take or home.is_due(frame.time_ns)):
            return
        keys = self.runtime.match_keys(memory.entry)
        if keys is not None:
            take = take and self._views.keep(stream.id, home.name, frame.image)
            home.look(frame.id, keys, frame.aspect, frame.time_ns, take=take)

    # -- predictions out ---------------------------------------------------------------------------

    def _send(self, turn: Turn, result: Result, started_ns: int, predicted_ns: int) -> None:
        frame = turn.frame
        layout = self._attention_header(result)
        best = np.argsort(result.probabilities)[::-1][: self.config.inference.top_k].tolist()
        top = [(self.runtime.labels[i], float(result.probabilities[i])) for i in best]
        stream = self.streams[frame.id.stream_id]
        scene = stream.look(turn, result.motion)
        maps, packed = None, b""
        if self.config.inference.motion_maps and result.motion is not None:
            maps, packed = pack_maps(result.motion.flow, result.motion.moving)
        prediction = Prediction(
            **Identity.of(frame.id),
            capture_ns=frame.capture_ns,
            pts_ns=frame.pts_ns,
            top=top,
            past=[PastFrame(slot.key.id.epoch, slot.key.id.seq, slot.age_ms) for slot in turn.past],
            policy=frame.policy,
            generation=stream.generation,
            spacing_ms=self.config.history.spacing_ms,
            reset=turn.reset,
            scored=turn.scored,
            attention=layout,
            motion_maps=maps,
            things=scene.things,
            camera=scene.camera,
            sight=scene.sight,
            received_ns=frame.received_ns,
            started_ns=started_ns,
            predicted_ns=predicted_ns,
        )
        parts = encode_prediction(prediction, result.attention, packed)
        if not self.publisher.send(parts):
            stream.outbox = parts
        stream.count(turn, top[0][0], scene, started_ns, predicted_ns)
        self.load.predicted(predicted_ns, stream.id, (predicted_ns - frame.capture_ns) / 1e6)
        self.mark_output(stream.id, predicted_ns)

    def _attention_header(self, result: Result) -> AttentionHeader | None:
        """The layout of the attention; None for multi-scale attention, whose grids differ."""
        (rows, columns), past = result.grid, self.runtime.num_past
        if result.attention is None or result.attention.shape[1] != past * rows * columns:
            return None
        return AttentionHeader(rows, columns, past, rows, columns)
