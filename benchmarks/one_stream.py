"""The inference worker on one stream, frame by frame and without sockets."""

from dataclasses import dataclass
from typing import Any

from pipeline.base.frame import Frame, FrameId, Image
from pipeline.model.history import StreamHistory
from pipeline.runtime.base import Runtime
from pipeline.scene.health import PictureHealth
from pipeline.scene.home import Home
from workers.inference_scene import Scene, SceneWatcher
from workers.reference_views import reference_view
from workers.turn import PastKey

_SPACING_MS = 100.0


@dataclass(frozen=True, slots=True)
class Seen:
    """Result for one frame.

    Attributes:
        scene: Moving objects and the position of the reference view.
        depth: Number of past frames used.
    """

    scene: Scene
    depth: int


class Watching:
    """Processes one stream.

    Args:
        runtime: A network with dense motion.
        judge_health: Whether to skip bad frames, as in a run.
        reference: Reference image; None takes it from the stream, as in a run.
    """

    def __init__(
        self, runtime: Runtime, *, judge_health: bool = False, reference: Image | None = None
    ) -> None:
        self._runtime = runtime
        self._home = Home({} if reference is None else {"gate": reference_view(reference, runtime)})
        self._watcher = SceneWatcher(self._home)
        self._history: StreamHistory[PastKey] = StreamHistory(runtime.num_past, _SPACING_MS)
        self._health = PictureHealth(judge_frozen=True) if judge_health else None
        self._count = 0

    def see(self, image: Image, time_ns: int) -> Seen | None:
        """Processes the next frame, in time order; None if the frame is too bad to predict."""
        frame = Frame(FrameId("bench", 1, 0, self._count), image, time_ns)
        self._count += 1
        if self._health and self._health.look(image, time_ns).state != "ok":
            self._history.reset()
            return None
        slots: list[Any] = self._history.select(time_ns)
        step = self._runtime.infer([image], [[slot and slot.entry for slot in slots]])
        scene = self._watcher.look(frame, slots, step.results[0].motion)
        (memory,) = step.remember()
        self._history.append(PastKey(frame.id, None), time_ns, memory.entry)
        if self._home.is_due(time_ns):
            keys = self._runtime.match_keys(memory.entry)
            assert keys is not None
            self._home.look(frame.id, keys, frame.aspect, time_ns)
        return Seen(scene, step.results[0].depth)
