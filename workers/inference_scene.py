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
"""Between two frames; what things did in a longer one is not known, and not counted."""
_SMALL_PX = 256
"""Pixels of the network's picture that a box has: of smaller things much is missed."""
_ADVISED_AFTER = 150
"""Boxes that are looked at before anything is said about their size."""
_LARGE_SIDE_PX = 384
"""Longer side of a picture that shows small things."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the dense motion of a frame shows; None each without dense motion.

    Attributes:
        things: What moves by itself, the surest first.
        camera: How the camera moves; None without a past as well.
        sight: Where the reference view is; None also where none is followed, or it was not looked for yet.
    """

    things: list[Thing] | None = None
    camera: CameraMotion | None = None
    sight: Sight | None = None


class SceneWatcher:
    """Follows what moves from frame to frame, in order, and counts it.

    Args:
        home: Follows the reference views of the stream; None if nothing is watched in it.
    """

    def __init__(self, home: Home | None = None) -> None:
        self._things, self._camera, self._home = ThingTracker(), CameraTracker(), home
        self._counted_ns = 0
        self._picture_px = 0, 0
        self._small: list[bool] | None = []

    def look(self, frame: Frame, slots: Sequence[Slot[Any] | None], motion: Motion | None) -> Scene:
        """What moves in a frame.

        Args:
            frame: The frame.
            slots: The remembered frames that it was compared with, oldest first.
            motion: What the network found; None without dense motion.
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
        """Counts what moves in a frame, and how right that is if it is scored and its movers are known.

        Without a past frame (``depth`` 0) there is no saying what moves.
        """
        if scene.things is None:
            return
        stats.now = seen_now(scene.things, scene.camera) if depth else ""
        elapsed_ms = (frame.time_ns - self._counted_ns) / 1e6
        self._counted_ns = frame.time_ns
        for thing in scene.things:
            stats.seen = max(stats.seen, thing.id)  # ids count from 1
            if not thing.was:  # out of sight: its motion is a guess
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
        """What would show more, said once: most of what moves is small, and the picture could be larger."""
        if self._small is None or len(self._small) < _ADVISED_AFTER:
            return None
        small, self._small = self._small, None
        if 2 * sum(small) <= len(small) or max(self._picture_px) >= _LARGE_SIDE_PX:
            return None
        columns, rows = self._picture_px
        return (
            f"most of what moves is small in the model's picture of {columns}x{rows} px, and more may be "
            f"missed: --set inference.longer_side_px={_LARGE_SIDE_PX} sees it better, for about three times "
            "the work"
        )

    def state(self) -> HandedScene:
        """What it follows, for another process."""
        return HandedScene(
            things_state(self._things),
            camera_state(self._camera),
            home_state(self._home) if self._home else None,
            self._counted_ns,
        )

    def restore(self, handed: HandedScene) -> None:
        """Goes on where another one was.

        Raises:
            ValueError: It can't have been there.
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
