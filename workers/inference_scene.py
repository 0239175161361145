"""The scene of one stream in inference: from dense motion to moving objects and camera motion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.account.stats import ThingStats, add_counts
from pipeline.base.camera_velocity import CameraMotion
from pipeline.base.frame import Frame
from pipeline.base.moving_thing import Thing
from pipeline.base.sight import Sight
from pipeline.model.history import Slot
from pipeline.runtime.step import Motion
from pipeline.scene.camera_tracker import CameraTracker
from pipeline.scene.dense_motion import PLACE_PX, DenseMotion
from pipeline.scene.home import Home
from pipeline.scene.judge import judge
from pipeline.scene.scene_state import (
    camera_state,
    home_state,
    restore_camera,
    restore_home,
    restore_things,
    things_state,
)
from pipeline.scene.sentence import IN_PLACE, direction_name, seen_now
from pipeline.scene.things import ThingTracker
from workers.hand_over import HandedScene

_LONGEST_GAP_MS = 1000.0
"""Longest gap between frames during which motion is counted."""
_SMALL_PX = 256
"""Area of a box in the network's input, in pixels, below which many objects are missed."""
_ADVISED_AFTER = 150
"""Boxes counted before their size is reported."""
_LARGE_SIDE_PX = 384
"""Longer side of an input that is large enough for small objects."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Results from the dense motion of a frame; all None without dense motion.

    Attributes:
        things: Moving objects, the most certain first.
        camera: The camera's motion; None also without past frames.
        sight: Where the reference view is; None also if none is tracked or it has not been searched for yet.
    """

    things: list[Thing] | None = None
    camera: CameraMotion | None = None
    sight: Sight | None = None


class SceneWatcher:
    """Tracks moving objects from frame to frame, in order, and counts them.

    Args:
        home: Tracks the reference views of the stream; None if nothing is watched in it.
    """

    def __init__(self, home: Home | None = None) -> None:
        self._things, self._camera, self._home = ThingTracker(), CameraTracker(), home
        self._counted_ns = 0
        self._picture_px = 0, 0
        self._small: list[bool] | None = []

    def look(self, frame: Frame, slots: Sequence[Slot[Any] | None], motion: Motion | None) -> Scene:
        """Finds moving objects in a frame.

        Args:
            frame: The frame.
            slots: The cached frames that it was compared with, oldest first.
            motion: Output of the network; None without dense motion.
        """
        if motion is None:
            return Scene()
        rows, columns = motion.moving.shape
        self._picture_px = columns * PLACE_PX, rows * PLACE_PX
        fields = DenseMotion(
            moving=motion.moving,
            flow=motion.flow,
            uncertainty=motion.uncertainty,
            camera=motion.camera,
            valid=np.array([slot is not None for slot in slots]),
            history_ms=[slot.age_ms if slot else 0.0 for slot in slots],
            aspect=frame.aspect,
        )
        sight = None
        if self._home:
            past = [slot and slot.key.id for slot in slots]
            sight = self._home.sight(frame.id, past, fields, frame.time_ns)
        things, camera = self._things, self._camera
        return Scene(things.update(fields, frame.time_ns), camera.update(fields, frame.time_ns), sight)

    def count(self, stats: ThingStats, scene: Scene, frame: Frame, depth: int, *, scored: bool) -> None:
        """Counts moving objects in a frame, and their accuracy if it is scored and has ground truth.

        Without a past frame (``depth`` 0) motion is unknown.
        """
        if scene.things is None:
            return
        stats.now = seen_now(scene.things, scene.camera) if depth else ""
        elapsed_ms = (frame.time_ns - self._counted_ns) / 1e6
        self._counted_ns = frame.time_ns
        for thing in scene.things:
            stats.seen = max(stats.seen, thing.id)  # ids count from 1
            if not thing.was:  # out of sight: its motion is only estimated
                continue
            self._note_size(thing)
            stats.longest_ms = max(stats.longest_ms, thing.age_ms)
            stats.fastest = max(stats.fastest, thing.speed)
            if thing.speed >= IN_PLACE and 0 < elapsed_ms <= _LONGEST_GAP_MS:
                add_counts(stats.moved_ms, {direction_name(thing.direction_deg): round(elapsed_ms)})
        if scored and frame.movers is not None:
            verdict = judge(scene.things, frame.movers)
            stats.judged += verdict.judged
            stats.movers += verdict.movers
            stats.found += verdict.found
            for error_deg in verdict.direction_errors_deg:
                stats.direction_errors.record(error_deg)

    def advice(self) -> str | None:
        """Advice, given once, to use a larger input if most moving objects are small."""
        if self._small is None or len(self._small) < _ADVISED_AFTER:
            return None
        small, self._small = self._small, None
        if 2 * sum(small) <= len(small) or max(self._picture_px) >= _LARGE_SIDE_PX:
            return None
        columns, rows = self._picture_px
        return (
            f"most moving objects are small in the model's input of {columns}x{rows} px, and some may be "
            f"missed: --set inference.longer_side_px={_LARGE_SIDE_PX} finds more, "
            "at about three times the cost"
        )

    def state(self) -> HandedScene:
        """Its tracking state, for another process."""
        return HandedScene(
            things_state(self._things),
            camera_state(self._camera),
            home_state(self._home) if self._home else None,
            self._counted_ns,
        )

    def restore(self, handed: HandedScene) -> None:
        """Continues from the state of another watcher.

        Raises:
            ValueError: The state is not valid.
        """
        restore_things(self._things, handed.things)
        restore_camera(self._camera, handed.camera)
        if self._home and handed.home:
            restore_home(self._home, handed.home)
        self._counted_ns = handed.counted_ns

    def _note_size(self, thing: Thing) -> None:
        if self._small is not None:
            (_, _, width, height), (columns, rows) = thing.box, self._picture_px
            self._small.append(width * columns * height * rows < _SMALL_PX)
