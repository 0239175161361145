"""Keeps bad frames of a stream out of prediction and cache."""

from pipeline.account.stats import StreamStats, add_counts
from pipeline.base.clock import now_ns
from pipeline.base.frame import Frame
from pipeline.scene.health import PictureHealth
from pipeline.scene.scene_state import health_state, restored_health
from pipeline.wire.messages import BadPicture, Identity
from workers.hand_over import HandedGate

_LONGEST_MS = 5000.0
"""In a longer gap between frames the source was silent; the gap is not counted as time in any state."""


class PictureGate:
    """Checks the health of each image of one stream and counts the time in each state.

    Args:
        judge_looks: Whether to analyse images; if not, only decoder errors count.
    """

    def __init__(self, *, judge_looks: bool = True) -> None:
        self._judge_looks = judge_looks
        self._health: PictureHealth | None = None
        self._last_ns: int | None = None

    def check(self, frame: Frame, stats: StreamStats) -> BadPicture | None:
        """The message to send instead of a prediction; None if the image is good enough to predict."""
        if self._health is None:  # a file may legitimately repeat a frame
            self._health = PictureHealth(judge_frozen=frame.policy == "newest", judge_looks=self._judge_looks)
        health = self._health.look(frame.image, frame.time_ns, smeared=frame.smeared)
        passed_ms = 0.0 if self._last_ns is None else (frame.time_ns - self._last_ns) / 1e6
        self._last_ns = frame.time_ns
        is_known = self._judge_looks or health.state != "ok"
        if is_known and 0 < passed_ms <= _LONGEST_MS:
            add_counts(stats.health_us, {health.state: round(passed_ms * 1000)})
        stats.picture = health.state
        if health.state == "ok":
            stats.bad_since_ns = 0
            return None
        stats.bad_since_ns = stats.bad_since_ns or now_ns() - round(health.for_s * 1e9)
        stats.things.now = ""
        return BadPicture(
            **Identity.of(frame.id),
            capture_ns=frame.capture_ns,
            pts_ns=frame.pts_ns,
            policy=frame.policy,
            state=health.state,
            for_s=health.for_s,
            ok_for_s=health.ok_for_s,
            why=health.why,
        )

    def state(self) -> HandedGate:
        """Its state, for another process."""
        return HandedGate(health_state(self._health) if self._health else None, self._last_ns)

    def restore(self, handed: HandedGate) -> None:
        """Continues from the state of another gate.

        Raises:
            ValueError: The state is not valid.
        """
        self._health = restored_health(handed.health) if handed.health else None
        self._last_ns = handed.last_ns

    def end(self, stats: StreamStats) -> None:
        """Resets at the end of the stream: the next frames may come from another camera."""
        self._health = self._last_ns = None
        stats.picture, stats.bad_since_ns = "ok", 0
