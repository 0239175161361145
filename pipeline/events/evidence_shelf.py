"""Evidence folders on disk: created atomically, the oldest deleted first."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from pipeline.base.closing import Closing
from pipeline.base.errors import OutputError
from pipeline.base.event import unix_ns
from pipeline.base.evidence import CLIP, CUT, EVENT, GROWING, NONE, OVERLAY_CLIP, evidence_folder
from pipeline.base.files import PARTIAL, sync_to_disk, write_whole
from pipeline.base.held_lock import HeldError, hold
from pipeline.base.oldest_first import OldestFirst

_ID = re.compile("[0-9a-f]{16}")


def lock_of_shelf(root: Path) -> Path:
    """The lock file of a folder of evidence."""
    return root / ".lock"


class EvidenceError(OutputError):
    """Evidence cannot be stored, from the start or after a failure."""


class EvidenceShelf(Closing):
    """The folder of all evidence, locked by one process.

    Args:
        root: The folder; created if missing.
        keep_days: Older evidence is deleted.
        max_mb: The oldest evidence is deleted above this total size, in 2**20 bytes.

    Raises:
        EvidenceError: The folder cannot be created, or another process has locked it.
    """

    def __init__(self, root: Path, keep_days: float, max_mb: float) -> None:
        self.root = root
        self._settled = OldestFirst[str](root, keep_days, max_mb, self._remove)
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._lock = hold(lock_of_shelf(root))
        except HeldError as held:
            raise EvidenceError(
                f"{root}: another run stores its evidence there{held.by}: give this run its own folder, "
                "--set evidence.folder=FOLDER"
            ) from None
        except OSError as error:
            raise EvidenceError(f"{root}: can't be written: {error.strerror}") from None

    def tidy(self) -> int:
        """Cleans up after an earlier run: deletes incomplete folders and ends clips that were still growing.

        Returns:
            Number of clips that were ended.

        Raises:
            OSError: The disk is full or broken.
        """
        ended = 0
        for folder in [*self.root.iterdir()]:
            if folder.name.startswith(".") and folder.name.endswith(PARTIAL) and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
            elif _ID.fullmatch(folder.name) and folder.is_dir():
                about = _read(folder)
                state = about.get("clip", {}).get("state")
                if state == GROWING:
                    self.end_early(folder, about, "the sink was killed")
                    ended += 1
                elif state == CUT and any(map(_is_torn, _clips_in(folder))):  # not truncated in time
                    self.end_early(folder, about, about["clip"].get("why", ""))
                self.settle(folder.name)
        return ended

    def begin(self, event_id: str) -> Path | None:
        """Creates a hidden folder to fill; None if the event has evidence already.

        Raises:
            OSError: The folder cannot be created.
        """
        if evidence_folder(self.root, event_id).exists():
            return None
        partial = self.root / f".{event_id}{PARTIAL}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        return partial

    def publish(self, partial: Path) -> Path:
        """Publishes a folder under its final name; files open in it can still be written.

        Raises:
            OSError: The folder cannot be renamed.
        """
        folder = evidence_folder(self.root, partial.name[1:].removesuffix(PARTIAL))
        partial.rename(folder)
        sync_to_disk(self.root)
        return folder

    def discard(self, folder: Path) -> None:
        """Deletes a folder."""
        shutil.rmtree(folder, ignore_errors=True)
        self._settled.leave(folder.name)

    def settle(self, event_id: str) -> None:
        """Marks an event's folder as complete, so that it may be deleted when it is the oldest."""
        folder = evidence_folder(self.root, event_id)
        about = _read(folder)
        time = about.get("time")
        try:
            time_ns = unix_ns(time) if isinstance(time, str) else folder.stat().st_mtime_ns
            nbytes = sum(file.stat().st_blocks * 512 for file in folder.iterdir())
        except (OSError, ValueError):  # another program deleted it
            return
        self._settled.add(event_id, time_ns, nbytes)

    def note_end(self, event_id: str, end_id: str) -> None:
        """Adds the end event's id to complete evidence; does nothing if there is none.

        Raises:
            OSError: The disk is full or broken; ``event.json`` is left unchanged.
        """
        folder = evidence_folder(self.root, event_id)
        about = _read(folder)
        if about and "end" not in about:
            write_whole(folder / EVENT, msgspec.json.encode({**about, "end": end_id}), sync=True)

    def end_early(self, folder: Path, about: Mapping[str, Any], why: str) -> None:
        """Ends clips that will not grow any more; their playable part is kept.

        Args:
            folder: Folder of the event.
            about: Content of its ``event.json``.
            why: The reason.

        Raises:
            OSError: The disk is full or broken.
        """
        playable = [keep_whole_fragments(path) for path in _clips_in(folder)]
        state = CUT if any(playable) else NONE
        clip = {**about.get("clip", {}), "state": state, "why": why}
        write_whole(folder / EVENT, msgspec.json.encode({**about, "clip": clip}), sync=True)

    def forget_old(self, now_ns: int) -> None:
        """Deletes old evidence, and the oldest above the size limit; never evidence being written.

        If the clock is years ahead at the start, only evidence that is old relative to the rest is deleted;
        see ``PresentTime``.

        Args:
            now_ns: Unix time.
        """
        self._settled.forget_old(now_ns)

    def make_room(self, nbytes: int = 0) -> None:
        """Deletes the oldest evidence while the disk is nearly full; never evidence being written.

        Args:
            nbytes: Number of bytes about to be written.

        Raises:
            OSError: The disk does not respond.
        """
        self._settled.make_room(nbytes)

    def close(self) -> None:
        """Unlocks the folder for other processes; deletes it if it is empty."""
        if [path.name for path in self.root.glob("*")] in ([], [".lock"]):
            shutil.rmtree(self.root, ignore_errors=True)
        self._lock.release()

    def _remove(self, event_id: str) -> None:
        shutil.rmtree(evidence_folder(self.root, event_id), ignore_errors=True)


def keep_whole_fragments(path: Path) -> bool:
    """Truncates a fragmented MP4 after its last complete fragment; deletes it if there is none.

    Returns:
        Whether anything playable is left.

    Raises:
        OSError: The file cannot be read or truncated.
    """
    if not path.exists():
        return False
    with path.open("r+b") as file:
        whole = _whole_until(file, path.stat().st_size)
        file.truncate(whole)
    if not whole:
        path.unlink()
    return whole > 0


def _clips_in(folder: Path) -> list[Path]:
    return [folder / name for name in (CLIP, OVERLAY_CLIP)]


def _whole_until(file: BinaryIO, size: int) -> int:
    """Offset of the end of the last complete fragment, or of the index after it; 0 if there is none."""
    whole = position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        position += length
        if length < 8 or position > size:
            break
        if head[4:8] == b"mdat" or (whole and head[4:8] == b"mfra"):
            whole = position
    return whole


def _is_torn(path: Path) -> bool:
    """Whether a clip ends in the middle of a fragment."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            return _whole_until(file, size) < size
    except OSError:  # it does not exist
        return False


def _read(folder: Path) -> dict[str, Any]:
    """Content of ``event.json``; empty if it cannot be read."""
    try:
        return msgspec.json.decode((folder / EVENT).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return {}
