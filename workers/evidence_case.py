"""Evidence of one event while it is collected: its images and two growing clips."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from pipeline.base.event import Event, unix_ns
from pipeline.base.evidence import CLIP, CUT, EVENT, GROWING, NONE, OVERLAY_CLIP, WHOLE
from pipeline.base.files import sync_to_disk, write_whole
from pipeline.base.frame import Image
from pipeline.events.evidence_ring import KeptPicture
from pipeline.view.overlay import Shown
from pipeline.view.recorder import Recorder, RecorderError

_GONE = "no frame of that time was kept: evidence.memory_mb is too small"


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """Seconds of a clip: before the event, after its end, and from its beginning on at most."""

    before_ns: int
    after_ns: int
    most_ns: int


class Case:
    """One event.

    Args:
        event: Its ``start`` or ``once``.
        told_ns: Unix time of the picture with which it was clear.
        span: Of its clips.
        no_clip: Why there are none; empty if there are.

    Attributes:
        event: See above.
        told_ns: See above.
        wall_ns: Unix time at which it happened.
        cursor: Number of the last picture that was taken.
        folder: Where its files are; None before they are begun.
        is_public: The folder has its name.
        until_ns: Place on the stream's timeline up to which its clips go; None while it is not known.
        end: Id of its end.
        large: The picture with which it was clear, as JPEG, where it is larger than what is kept of others.
        ripe_s: When it no longer waits for the picture with which it was clear, on any clock.
        missing_ns: So much of the beginning of its clips found no room in memory.
    """

    def __init__(
        self, event: Event, told_ns: int, span: ClipSpan, *, no_clip: str = "", ripe_s: float = 0.0
    ) -> None:
        self.event, self.told_ns = event, told_ns
        self.wall_ns = unix_ns(event.time)
        self.cursor = -1
        self.folder: Path | None = None
        self.is_public = False
        self.until_ns: int | None = None
        self.end: str | None = None
        self.large: bytes | None = None
        self.ripe_s = ripe_s
        self.missed = self.missing_ns = 0
        self._span, self._no_clip = span, no_clip
        self._most_ns: int | None = None
        self._first_ns = self._last_ns = self._moment_ns = 0
        self._count = 0
        self._size = (0, 0)
        self._recorders: list[Recorder] = []

    @property
    def has_clip(self) -> bool:
        """Whether there is going to be a clip."""
        return not self._no_clip

    def is_ripe(self, newest: KeptPicture[Shown] | None, now_s: float) -> bool:
        """Whether there is no more to wait for: the picture with which it was clear has come, or is late."""
        return now_s > self.ripe_s or (newest is not None and newest.wall_ns >= self.told_ns)

    @property
    def is_empty(self) -> bool:
        """Whether no picture was taken yet."""
        return not self._count

    @property
    def begins_ns(self) -> int:
        """Where its clips are to begin, on the stream's timeline."""
        return self._moment_ns - self._span.before_ns

    @property
    def is_playable(self) -> bool:
        """Whether what there is of the clips plays, even if the process is killed now."""
        return all(recorder.playable for recorder in self._recorders)

    def goes_until(self, time_ns: int) -> None:
        """The event is over at a place on the stream's timeline."""
        self.until_ns = time_ns + self._span.after_ns

    def open(self, folder: Path, moment_ns: int, files: dict[str, bytes]) -> None:
        """Writes what there is at once.

        Args:
            folder: Where to.
            moment_ns: When it happened, on the stream's timeline.
            files: By name.

        Raises:
            OSError: The disk is full or broken.
            RecorderError: Likewise.
        """
        self.folder, self._moment_ns = folder, moment_ns
        self._most_ns = moment_ns + self._span.most_ns
        if self.event.phase == "once":
            self.goes_until(moment_ns)
        for name, data in files.items():
            write_whole(folder / name, data, sync=True)
        self._write_about(GROWING if self.has_clip else NONE, self._no_clip)
        if self.has_clip:
            self._recorders = [Recorder(folder / name) for name in (CLIP, OVERLAY_CLIP)]

    def wants(self, picture: KeptPicture[Shown]) -> bool:
        """Whether the clips go on with a picture."""
        limits = [limit for limit in (self.until_ns, self._most_ns) if limit is not None]
        return picture.time_ns <= min(limits)

    def take(self, picture: KeptPicture[Shown], clean: Image, overlay: Image) -> None:
        """Adds a picture to the clips.

        Raises:
            RecorderError: The disk is full or broken.
        """
        if self._count:
            self.missed += picture.number - self.cursor - 1
        else:
            self._first_ns, self._size = picture.time_ns, (clean.shape[1], clean.shape[0])
        for recorder, image in zip(self._recorders, (clean, overlay), strict=True):
            recorder.write(_of_size(image, self._size), picture.time_ns)
        self.cursor, self._last_ns = picture.number, picture.time_ns
        self._count += 1

    def close(self, why: str = "") -> None:
        """Finishes the clips; ``why`` says what has ended them early.

        Raises:
            OSError: The disk is full or broken.
            RecorderError: Likewise.
        """
        for recorder in self._recorders:
            recorder.close()
            for path in recorder.paths:
                sync_to_disk(self.folder / path.name if self.folder else path)
        if self.has_clip and not self._count:
            self._write_about(NONE, why or _GONE)
        elif self.has_clip:
            self._write_about(CUT if why else WHOLE, why)

    def leave(self, why: str) -> None:
        """Says that clips which are still open have ended; what plays of them stays.

        Raises:
            OSError: The disk is full or broken.
        """
        if self.is_public and self.has_clip:
            self._write_about(CUT, why)

    def abandon(self) -> None:
        """Gives up what is open."""
        for recorder in self._recorders:
            with suppress(RecorderError):  # what has failed is known
                recorder.close()

    def about(self, state: str, why: str = "") -> dict[str, Any]:
        """What ``event.json`` says: the event, and of the clip how complete it is."""
        clip: dict[str, Any] = {"state": state}
        if why:
            clip["why"] = why
        if self._count:
            clip |= {
                "before_s": round((self._moment_ns - self._first_ns) / 1e9, 3),
                "after_s": round((self._last_ns - self._moment_ns) / 1e9, 3),
                "pictures": self._count,
                "missed": self.missed,
            }
        if self.missing_ns:
            clip["missing_s"] = round(self.missing_ns / 1e9, 3)
        ended = {"end": self.end} if self.end else {}
        return {**msgspec.to_builtins(self.event), **ended, "clip": clip}

    def _write_about(self, state: str, why: str) -> None:
        assert self.folder is not None
        write_whole(self.folder / EVENT, msgspec.json.encode(self.about(state, why)), sync=True)

    def moved_to(self, folder: Path) -> None:
        """Its folder has its name now."""
        self.folder, self.is_public = folder, True


def _of_size(image: Image, size: tuple[int, int]) -> Image:
    """Of one size all the time: where the camera changes its own, the clip goes on."""
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
