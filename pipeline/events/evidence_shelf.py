"""Evidence folders on disk: created atomically, the oldest deleted first."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from filelock import FileLock, Timeout

from pipeline.base.closing import Closing
from pipeline.base.errors import OutputError
from pipeline.base.event import unix_ns
from pipeline.base.evidence import CLIP, CUT, EVENT, GROWING, NONE, OVERLAY_CLIP, evidence_folder
from pipeline.base.files import PARTIAL, sync_to_disk, write_whole
from pipeline.base.oldest_first import OldestFirst

_ID = re.compile("[0-9a-f]{16}")


class EvidenceError(OutputError):
    """Evidence can't be kept (any more)."""


class EvidenceShelf(Closing):
    """The folder of all evidence, held by one process.

    Args:
        root: The folder; made if it is not there.
        keep_days: What is older is removed.
        max_mb: The oldest is removed where all of it would be larger, in 2**20 bytes.

    Raises:
        EvidenceError: It can't be made, or another process holds it.
    """

    def __init__(self, root: Path, keep_days: float, max_mb: float) -> None:
        self.root = root
        self._settled = OldestFirst[str](root, keep_days, max_mb, self._remove)
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(root / ".lock", thread_local=False)
            self._lock.acquire(blocking=False)
        except Timeout:
            raise EvidenceError(
                f"{root}: another run keeps its evidence there: give this one a folder of its own, "
                "--set evidence.folder=FOLDER"
            ) from None
        except OSError as error:
            raise EvidenceError(f"{root}: can't be written: {error.strerror}") from None

    def tidy(self) -> int:
        """Takes over what is there: what a killed process had only begun goes, clips that it was writing end.

        Returns:
            How many clips have ended so.

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
                elif state == CUT and any(map(_is_torn, _clips_in(folder))):  # a run had no time to end them
                    self.end_early(folder, about, about["clip"].get("why", ""))
                self.settle(folder.name)
        return ended

    def begin(self, event_id: str) -> Path | None:
        """A folder to fill, which nobody sees yet; None if the event has evidence already.

        Raises:
            OSError: It can't be made.
        """
        if evidence_folder(self.root, event_id).exists():
            return None
        partial = self.root / f".{event_id}{PARTIAL}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        return partial

    def publish(self, partial: Path) -> Path:
        """Gives a folder its name; what is open in it goes on being written.

        Raises:
            OSError: It can't be renamed.
        """
        folder = evidence_folder(self.root, partial.name[1:].removesuffix(PARTIAL))
        partial.rename(folder)
        sync_to_disk(self.root)
        return folder

    def discard(self, folder: Path) -> None:
        """Removes a folder."""
        shutil.rmtree(folder, ignore_errors=True)
        self._settled.leave(folder.name)

    def settle(self, event_id: str) -> None:
        """Notes that a folder is complete: from now on it may be removed when its turn comes."""
        folder = evidence_folder(self.root, event_id)
        about = _read(folder)
        time = about.get("time")
        try:
            time_ns = unix_ns(time) if isinstance(time, str) else folder.stat().st_mtime_ns
            nbytes = sum(file.stat().st_blocks * 512 for file in folder.iterdir())
        except (OSError, ValueError):  # somebody has removed it
            return
        self._settled.add(event_id, time_ns, nbytes)

    def note_end(self, event_id: str, end_id: str) -> None:
        """Names the end of an event whose evidence is complete already; does nothing where there is none.

        Raises:
            OSError: The disk is full or broken: what ``event.json`` said stays.
        """
        folder = evidence_folder(self.root, event_id)
        about = _read(folder)
        if about and "end" not in about:
            write_whole(folder / EVENT, msgspec.json.encode({**about, "end": end_id}), sync=True)

    def end_early(self, folder: Path, about: Mapping[str, Any], why: str) -> None:
        """Ends clips that are not going to grow: what plays of them stays.

        Args:
            folder: Of the event.
            about: What its ``event.json`` says.
            why: What ended them.

        Raises:
            OSError: The disk is full or broken.
        """
        playable = [keep_whole_fragments(path) for path in _clips_in(folder)]
        state = CUT if any(playable) else NONE
        clip = {**about.get("clip", {}), "state": state, "why": why}
        write_whole(folder / EVENT, msgspec.json.encode({**about, "clip": clip}), sync=True)

    def forget_old(self, now_ns: int) -> None:
        """Removes what is too old, and the oldest while there is too much; not what is being written.

        A clock that is years ahead at the start removes nothing that is not old beside the others, see
        ``PresentTime``.

        Args:
            now_ns: Unix time.
        """
        self._settled.forget_old(now_ns)

    def make_room(self, nbytes: int = 0) -> None:
        """Removes the oldest evidence while the disk is nearly full; not what is being written.

        Args:
            nbytes: What is about to be written.

        Raises:
            OSError: The disk does not answer.
        """
        self._settled.make_room(nbytes)

    def close(self) -> None:
        """Lets another process have the folder; removes it if there is nothing in it."""
        if [path.name for path in self.root.glob("*")] in ([], [".lock"]):
            shutil.rmtree(self.root, ignore_errors=True)
        self._lock.release()

    def _remove(self, event_id: str) -> None:
        shutil.rmtree(evidence_folder(self.root, event_id), ignore_errors=True)


def keep_whole_fragments(path: Path) -> bool:
    """Cuts a fragmented MP4 after its last whole fragment, and removes one without any.

    Returns:
        Whether there is something to play.

    Raises:
        OSError: It can't be read or cut.
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
    """Where the last whole fragment ends, or the index behind it; 0 where there is none."""
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
    except OSError:  # there is none
        return False


def _read(folder: Path) -> dict[str, Any]:
    """What ``event.json`` says; nothing if it can't be read."""
    try:
        return msgspec.json.decode((folder / EVENT).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return {}
