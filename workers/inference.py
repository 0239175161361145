"""The inference worker: one backbone pass for each new frame; the past comes from the streams' caches."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import ClassVar

import numpy as np

from pipeline.base.clock import now_ns
from pipeline.base.errors import WireError
from pipeline.base.role_names import Listener
from pipeline.flow.age_limit import AgeLimit
from pipeline.flow.batching import BatchWindow
from pipeline.flow.unchanged import KeptBytes
from pipeline.model.device import DeviceError, device_of
from pipeline.model.shipped import CheckpointError
from pipeline.runtime.base import Runtime
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import CalibrationClips, Options
from pipeline.runtime.step import Memory, Result
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.encoding import encode_prediction
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import AttentionHeader, EndOfStream, Identity, PastFrame, Prediction
from pipeline.wire.motion_maps import pack_maps
from pipeline.wire.publisher import SMALL_QUEUE, Publisher
from workers.base import RETRY_S, TICK_S, Worker, WorkerError
from workers.inference_stream import InferenceStream, Turn
from workers.model_check import wrong_checkpoint
from workers.rebuilding import rebuild
from workers.reference_views import ReferenceViews
from workers.roles import bound_endpoint, connected_endpoints
from workers.rundir import folder_of_run
from workers.sharing import own_streams

_SHARE_KEPT = 0.25
"""Of ``wire.max_memory_mb``: what copies of unchanged pictures may hold beyond the frames themselves."""


class InferenceWorker(Worker):
    """Takes frames, groups those of several streams into one step, sends predictions."""

    role: ClassVar[Listener] = "inference"

    def open(self) -> None:
        """Loads the model, warms it up, then listens for frames."""
        config = self.config
        self._runtime = self._open_runtime()
        self._most = config.inference.max_batch or self._runtime.most_streams
        self._own = own_streams(config)
        many = len(config.streams if self._own is None else self._own)
        self._usual = min(max(many, 1), self._most)
        self._runtime.warm_up(self._usual)
        self.stats.details = {"runtime": self._runtime.describe(), "model": self._runtime.describe_model()}
        endpoint = bound_endpoint(self.role, config.endpoints)
        self._views = ReferenceViews(
            config,
            self._runtime,
            kept_in=folder_of_run(endpoint),
            is_restarted=self.restarts > 0,
            report=self.event,
        )
        self._streams: dict[str, InferenceStream] = {}
        self._age_limit = AgeLimit(config.wire.max_frame_age_ms)
        self._kept = KeptBytes(int(config.wire.max_memory_mb * _SHARE_KEPT * 2**20))
        self._window = BatchWindow(config.inference.batch_window_ms)
        self._publisher = self.publishes(Publisher(endpoint, config.wire, self.security, queue=SMALL_QUEUE))
        self._listeners = self.waits_for(self._publisher, config.inference.wait_for, "inference.wait_for")
        self._receiver: FrameReceiver | None = None

    def tick(self, timeout_s: float) -> bool:
        """Takes in what has arrived and runs one step on the frames whose turn it is."""
        if self._receiver is None and not self._listen(timeout_s):
            return True
        if any(stream.outbox for stream in self._streams.values()):
            timeout_s = min(timeout_s, RETRY_S)
        self._receive(0.0 if any(stream.is_ready for stream in self._streams.values()) else timeout_s)
        for wanted in self._publisher.pop_views_wanted():
            self._views.want(wanted)
        assert self._receiver is not None
        begun = [stream.again for stream in self._streams.values() if stream.is_ready]
        rebuild(begun, self._runtime, self._most, self._receiver.rejects)
        if turns := self._next_turns({}):
            self._step(self._wait_for_others(turns))
        for stream in self._streams.values():
            stream.flush(self._publisher)
            if feedback := stream.pop_feedback(now_ns()):
                self._receiver.send_feedback(feedback)
        return True

    def finish(self, deadline_ns: int) -> None:
        """Predicts the frames that it already has, then counts what was left."""
        while now_ns() < deadline_ns and any(stream.is_busy for stream in self._streams.values()):
            self.tick(0.0)
            self.publish_stats_if_due()
        for stream in self._streams.values():
            stream.discard()

    @property
    def _device(self) -> str:
        """Workers that share streams share the GPUs of their machine as well."""
        inference = self.config.inference
        if not inference.shared_by:
            return inference.device
        return device_of(inference.device, inference.shared_by.index(inference.name))

    def _open_runtime(self) -> Runtime:
        config = self.config
        try:
            return open_runtime(
                config.inference.checkpoint,
                Options(
                    device=self._device,
                    precision=config.inference.precision,
                    longer_side_px=config.inference.longer_side_px,
                    threads=config.inference.threads,
                    provider=config.runtime.provider,
                    graphs=config.runtime.cuda_graphs,
                    clips=_calibration_clips,
                    report=partial(print, flush=True),
                ),
                backend=config.runtime.backend,
            )
        except DeviceError as error:
            raise WorkerError(str(error)) from error
        except CheckpointError as error:
            raise wrong_checkpoint(error) from error

    # -- frames in ---------------------------------------------------------------------------------

    def _listen(self, timeout_s: float) -> bool:
        """Connects to capture once somebody hears the predictions: earlier ones would be lost."""
        absent = self._listeners.absent()
        self._listeners.report(absent)
        if absent:
            time.sleep(min(timeout_s, 0.02))
            return False
        (frames,) = connected_endpoints(self.role, self.config.endpoints)
        self._receiver = self.receives(
            FrameReceiver(frames, self.role, self.config.wire, self.security, self._own, replay=True)
        )
        return True

    def _receive(self, timeout_s: float) -> None:
        """Takes all newest frames, and every-frame ones until a stream of theirs has no room left."""
        assert self._receiver is not None
        more = True
        while more:
            received = self._receiver.poll(timeout_s, max_every=self._room())
            for one in received:
                self._take(one)
            more = any(isinstance(one, ReceivedFrame) and one.header.policy == "every" for one in received)
            timeout_s = 0.0

    def _room(self) -> int:
        """How many every-frame messages can be taken, whichever stream they are of."""
        # A prediction that nobody hears is lost, so files wait for those who have to.
        if self._listeners.absent():
            return 0
        rooms = (stream.room for stream in self._streams.values())
        return max(min((room for room in rooms if room is not None), default=1), 0)

    def _take(self, received: ReceivedFrame | EndOfStream) -> None:
        about = received if isinstance(received, EndOfStream) else received.header
        if about.stream_id not in self._streams:
            self._streams[about.stream_id] = InferenceStream(
                about.stream_id,
                self.config,
                self._runtime.num_past,
                self._age_limit,
                self.stats,
                self.event,
                self._kept,
                self._views.home(about.stream_id),
            )
        stream = self._streams[about.stream_id]
        if isinstance(received, EndOfStream):
            stream.take_end(received)
            self._window.forget(stream.id)
        else:
            self._prepare(received.header.height, received.header.width)
            stream.take(received)
            self._window.arrived(stream.id, received.received_ns)

    def _prepare(self, height: int, width: int) -> None:
        """Opens what computes pictures of a new aspect; meanwhile statistics go on, or it would look hung."""
        size = self._runtime.size_of(height, width)
        if self._runtime.is_ready(size):
            return
        rows, columns = size
        self.event(f"preparing the model for pictures of {columns}x{rows} px")
        with ThreadPoolExecutor(1) as helper:
            opening = helper.submit(self._runtime.warm_up, self._usual, size)
            while not wait([opening], TICK_S).done:
                self.publish_stats_if_due()
        opening.result()
        self.event(f"ready for pictures of {columns}x{rows} px")

    # -- one step ----------------------------------------------------------------------------------

    def _next_turns(self, turns: dict[str, Turn]) -> dict[str, Turn]:
        """Adds at most one frame of each other stream; who finds no room comes first the next time."""
        for stream in list(self._streams.values()):
            if len(turns) >= self._most:
                break
            if stream.id in turns or not stream.is_ready:
                continue
            self._streams[stream.id] = self._streams.pop(stream.id)
            try:
                turn = stream.next(now_ns())
            except WireError as error:
                assert self._receiver is not None
                self._receiver.rejects.add(stream.id, error)
            else:
                turns |= {stream.id: turn} if turn else {}
        return turns

    def _wait_for_others(self, turns: dict[str, Turn]) -> dict[str, Turn]:
        """Adds the frames of streams that are just about to have one."""
        started_ns = now_ns()
        while len(turns) < self._most:
            missing = (s.id for s in self._streams.values() if s.id not in turns and not s.outbox)
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
            result = self._streams[name].find_result(turn)
            if result is None or turn.known is None:
                turns.append(turn)
            else:
                self._send(turn, result, started_ns, now_ns())
                self._remember(turn, result, turn.known, passes=0)
        if turns:
            self._infer(turns, started_ns)

    def _infer(self, turns: Sequence[Turn], started_ns: int) -> None:
        step = self._runtime.infer(
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
        frame, stream = turn.frame, self._streams[turn.frame.id.stream_id]
        stream.remember(turn, result, memory, passes)
        home, take = stream.home, self._views.is_wanted(stream.id)
        if home is None or not (take or home.is_due(frame.time_ns)):
            return
        keys = self._runtime.match_keys(memory.entry)
        if keys is not None:
            take = take and self._views.keep(stream.id, home.name, frame.image)
            home.look(frame.id, keys, frame.aspect, frame.time_ns, take=take)

    # -- predictions out ---------------------------------------------------------------------------

    def _send(self, turn: Turn, result: Result, started_ns: int, predicted_ns: int) -> None:
        frame = turn.frame
        layout = self._attention_header(result)
        best = np.argsort(result.probabilities)[::-1][: self.config.inference.top_k].tolist()
        top = [(self._runtime.labels[i], float(result.probabilities[i])) for i in best]
        stream = self._streams[frame.id.stream_id]
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
        if not self._publisher.send(parts):
            stream.outbox = parts
        stream.count(turn, top[0][0], scene, started_ns, predicted_ns)
        self.mark_output(stream.id, predicted_ns)

    def _attention_header(self, result: Result) -> AttentionHeader | None:
        """The layout of the attention; None for several scales, whose grids differ."""
        (rows, columns), past = result.grid, self._runtime.num_past
        if result.attention is None or result.attention.shape[1] != past * rows * columns:
            return None
        return AttentionHeader(rows, columns, past, rows, columns)


def _calibration_clips(size: int, num_past: int, count: int, seed: int) -> CalibrationClips:
    """Clips to calibrate int8 on; the training is imported only where that is done."""
    from pipeline.training.rendered.film import film_motions

    return film_motions(size, num_past, count, seed)
