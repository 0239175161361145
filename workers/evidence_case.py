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

_GONE = "no frame of that time was in memory: evidence.memory_mb is too small"


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """Limits of a clip in ns: time before the event, time after its end, longest time after its start."""

    before_ns: int
    after_ns: int
    most_ns: int


class Case:
    """Evidence of one event.

    Args:
        event: The ``start`` or ``once`` event.
        told_ns: Capture time (Unix) of the frame that confirmed it.
        span: Length of its clips.
        no_clip: Why it gets no clips; empty if it does.

    Attributes:
        event: The argument ``event``.
        told_ns: The argument ``told_ns``.
        wall_ns: Unix time at which it happened.
        cursor: Number of the last frame added.
        folder: Folder of its files; None until they are started.
        is_public: Whether the folder has its final name.
        until_ns: End of its clips on the stream's timeline; None until known.
        end: Id of its end event.
        large: Full-size JPEG of the frame that confirmed it, if larger than frames in memory.
        ripe_s: Time at which it stops waiting for that frame, on the caller's clock.
        missing_ns: Length of the beginning of its clips that was no longer in memory.
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
        """Whether it gets clips."""
        return not self._no_clip

    def is_ripe(self, newest: KeptPicture[Shown] | None, now_s: float) -> bool:
        """Whether the frame that confirmed it has arrived or is overdue."""
        return now_s > self.ripe_s or (newest is not None and newest.wall_ns >= self.told_ns)

    @property
    def is_empty(self) -> bool:
        """Whether no frame has been added yet."""
        return not self._count

    @property
    def begins_ns(self) -> int:
        """Intended start of its clips on the stream's timeline."""
        return self._moment_ns - self._span.before_ns

    @property
    def is_playable(self) -> bool:
        """Whether its clips are playable even if the process is killed now."""
        return all(recorder.playable for recorder in self._recorders)

    def goes_until(self, time_ns: int) -> None:
        """Sets the end of the event, on the stream's timeline."""
        self.until_ns = time_ns + self._span.after_ns

    def open(self, folder: Path, moment_ns: int, files: dict[str, bytes]) -> None:
        """Writes the images and starts the clips.

        Args:
            folder: Target folder.
            moment_ns: Time of the event on the stream's timeline.
            files: File contents by name.

        Raises:
            OSError: The disk is full or broken.
            RecorderError: The disk is full or broken.
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
        """Whether a frame belongs to the clips."""
        limits = [limit for limit in (self.until_ns, self._most_ns) if limit is not None]
        return picture.time_ns <= min(limits)

    def take(self, picture: KeptPicture[Shown], clean: Image, overlay: Image) -> None:
        """Adds a frame to the clips.

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
        """Finishes the clips; ``why`` is the reason if they end early.

        Raises:
            OSError: The disk is full or broken.
            RecorderError: The disk is full or broken.
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
        """Marks clips that are still open as cut; their playable part is kept.

        Raises:
            OSError: The disk is full or broken.
        """
        if self.is_public and self.has_clip:
            self._write_about(CUT, why)

    def abandon(self) -> None:
        """Closes open clips after a failure."""
        for recorder in self._recorders:
            with suppress(RecorderError):  # already reported
                recorder.close()

    def about(self, state: str, why: str = "") -> dict[str, Any]:
        """Content of ``event.json``: the event and the completeness of its clips."""
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
        """Notes that its folder has its final name."""
        self.folder, self.is_public = folder, True


def _of_size(image: Image, size: tuple[int, int]) -> Image:
    """Resizes the image to the clip's size, in case the camera changes its resolution."""
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
