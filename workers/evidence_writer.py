"""The evidence thread: keeps recent frames of all streams and saves images and clips of events."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from typing import Any

from pipeline.base.clock import now_ns
from pipeline.base.closing import Closing
from pipeline.base.config import EvidenceConfig
from pipeline.base.event import Event, unix_ns
from pipeline.base.frame import Image
from pipeline.events.evidence_ring import EvidenceRing, KeptPicture
from pipeline.events.evidence_shelf import EvidenceShelf
from pipeline.view.overlay import Shown
from workers.evidence_case import Case, ClipSpan
from workers.evidence_pictures import PastPictures, kept, large_of, moment_ns_of, moment_of, pictures_of
from workers.evidence_queue import EvidenceQueue, Seen, Told
from workers.evidence_troubles import why_lost, worked_s

MOST_CLIPS = 8
"""Clips written at the same time; further events get images but no clip."""
MOST_CASES = 64
"""Events processed at the same time; further events get no evidence."""
_BELIEF_S = 6.0
"""Longest delay from an event to its report; frames are kept this much longer."""
_PATIENCE_S, _SILENCE_S = 2.0, 5.0
_WAITING_SHARE = 0.25
"""Share of the memory limit that is reserved for frames waiting to be encoded."""
_FRAGMENT = 10
"""Upper bound for the size of one second of a clip, as a multiple of one of its frames as JPEG."""
_TURN_S = 0.05
_FORGETS_S = 60.0
_CLOSES_IN_S = 2.0
"""Time limit of ``close``, shorter than the time after which a supervisor kills a worker."""
_RUN_ENDED = "the run has ended"


class EvidenceWriter(Closing):
    """Saves evidence of events; ``close`` finishes what can be finished in a few seconds.

    Args:
        shelf: Stores the evidence; closed with this writer.
        settings: Configured limits.
        patience_s: How long an event waits for the frame that confirmed it, in seconds.
        silence_s: A clip ends if no frame arrives for this long, or for ``after_s`` if that is longer.

    Attributes:
        written: Number of events with evidence.
        lost: Number of events whose evidence could not be written.
        without_clip: Number of events without a clip because too many were being written.
        without_any: Number of events without evidence: too many at a time, no frame, or no time at shutdown.
        loss: Why evidence was lost, in one line; empty if none was.
    """

    def __init__(
        self,
        shelf: EvidenceShelf,
        settings: EvidenceConfig,
        *,
        patience_s: float = _PATIENCE_S,
        silence_s: float = _SILENCE_S,
    ) -> None:
        self.written = self.lost = self.without_clip = self.without_any = 0
        self.loss = ""
        self.ended = 0
        self._is_given_up = False
        self._shelf = shelf
        most = int(settings.memory_mb * 2**20)
        self._queue = EvidenceQueue(int(most * _WAITING_SHARE))
        self._span = ClipSpan(*(int(s * 1e9) for s in (settings.before_s, settings.after_s, settings.most_s)))
        self._patience_s, self._silence_s = patience_s, max(settings.after_s, silence_s)
        self._ring = EvidenceRing[Shown](settings.before_s + _BELIEF_S, most - int(most * _WAITING_SHARE))
        self._cases: list[Case] = []
        self._arrived_s: dict[str, float] = {}
        self._past = PastPictures(self._ring)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="evidence", daemon=True)
        self._thread.start()

    @property
    def missed(self) -> int:
        """Frames dropped because the queue was full."""
        return self._queue.missed

    @property
    def waiting(self) -> int:
        """Bytes of frames waiting to be encoded."""
        return self._queue.waiting

    def see(self, image: Image, shown: Shown) -> None:
        """Takes a shown frame; never blocks. The image must not be modified afterwards."""
        if self._thread.is_alive():
            self._queue.put(Seen(image, shown))

    def tell(self, event: Event, told_ns: int) -> None:
        """Takes an event; never blocks.

        Args:
            event: An event or its end.
            told_ns: Capture time (Unix) of the frame that confirmed it.
        """
        if self._thread.is_alive():
            self._queue.put(Told(event, told_ns))

    def reach_back(self, seconds: float) -> None:
        """Keeps frames longer for events that are reported up to ``seconds`` late, plus a few seconds."""
        self._ring.keep(self._span.before_ns / 1e9 + _BELIEF_S + seconds)

    def close(self) -> None:
        """Finishes clips as they are; may be called twice.

        If there is no time for that, clips are cut; a disk that does not respond counts as a loss.
        """
        self._stop.set()
        self._thread.join(_CLOSES_IN_S * 0.75)
        before_s = worked_s(self._thread)
        self._thread.join(_CLOSES_IN_S * 0.25)
        if not self._thread.is_alive() or self._is_given_up:
            return
        self._is_given_up = True
        if worked_s(self._thread) > before_s:  # slow, but still working
            for case in [*self._cases]:
                self.written += case.is_public
                self.without_any += not case.is_public
                with suppress(OSError):
                    case.leave(_RUN_ENDED)
        else:
            self.loss = (
                f"{self._shelf.root}: the last evidence could not be written: the disk does not respond"
            )

    # -- the thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._make_all()
        except BaseException:  # a bug: also reported as a loss
            self.loss = f"{self._shelf.root}: no more evidence is saved: please report this bug"
            raise
        finally:
            self._shelf.close()

    def _make_all(self) -> None:
        try:
            self.ended = self._shelf.tidy()
            self._shelf.forget_old(now_ns())
        except OSError as error:
            self._lose(error, lost=0)
        stop_at_s, forgot_s = None, time.monotonic()
        while True:
            if time.monotonic() - forgot_s > _FORGETS_S:
                forgot_s = time.monotonic()
                self._shelf.forget_old(now_ns())
            if stop_at_s is None and self._stop.is_set():
                stop_at_s = time.monotonic() + _CLOSES_IN_S * 0.6
            is_busy = self._take_waiting() | self._advance()
            is_late = stop_at_s is not None and time.monotonic() > stop_at_s
            if is_late or (stop_at_s is not None and not is_busy):
                for case in [*self._cases]:
                    if is_late and case.folder is None:
                        self.without_any += 1
                    else:
                        self._try(self._finish, case, _RUN_ENDED)
                return
            if not is_busy:
                self._stop.wait(_TURN_S)

    def _take_waiting(self) -> bool:
        """Processes the queue; returns whether it had entries."""
        count = 0
        while (what := self._queue.pop()) is not None:
            count += 1
            try:
                self._pack(what) if isinstance(what, Seen) else self._take_event(what)
            except Exception as error:  # as in ``_try``
                self._lose(error, lost=isinstance(what, Told))
            self._queue.done_with(what)
        return count > 0

    def _pack(self, seen: Seen) -> None:
        picture = kept(seen.image, seen.shown)
        stream_id = picture.id.stream_id
        newest = self._ring.newest(stream_id)
        if newest is not None and picture.time_ns < newest.time_ns:
            self._end_pass(stream_id, picture.wall_ns)
        for case in self._of(stream_id):
            if case.told_ns == picture.wall_ns:
                case.large = large_of(seen.image)
        self._ring.add(picture)
        self._arrived_s[stream_id] = time.monotonic()

    def _take_event(self, told: Told) -> None:
        event = told.event
        if event.phase == "end":
            self._take_end(event)
            return
        if len(self._cases) >= MOST_CASES:
            self.without_any += 1
            return
        is_full = sum(case.has_clip for case in self._cases) >= MOST_CLIPS
        why = f"{MOST_CLIPS} clips were already being written" if is_full else ""
        self.without_clip += is_full
        case = Case(event, told.told_ns, self._span, no_clip=why, ripe_s=time.monotonic() + self._patience_s)
        if (moment := moment_of(case, self._ring)) is not None:
            self._start_at(case, moment)
        self._cases.append(case)
        self._hold(event.stream_id)

    def _take_end(self, event: Event) -> None:
        case = next((case for case in self._cases if case.event.id == event.start), None)
        if case is None:
            self._shelf.note_end(event.start or "", event.id)
            return
        case.end = event.id
        at = self._ring.at(event.stream_id, unix_ns(event.time))
        case.goes_until(at.time_ns if at else 0)

    def _start_at(self, case: Case, moment: KeptPicture[Shown]) -> None:
        moment_ns = moment_ns_of(case, moment, self._ring)
        first = self._ring.first_since(case.event.stream_id, moment_ns - self._span.before_ns)
        if first is not None:
            case.cursor = max(case.cursor, first.number - 1)

    def _advance(self) -> bool:
        """Processes one event and one frame of each stream; returns whether there was anything to do."""
        return sum(self._advance_in(name) for name in {case.event.stream_id for case in self._cases}) > 0

    def _advance_in(self, stream_id: str) -> bool:
        newest, now_s = self._ring.newest(stream_id), time.monotonic()
        due = [case for case in self._of(stream_id) if case.folder is None]
        ripe = [case for case in due if self._stop.is_set() or case.is_ripe(newest, now_s)]
        for case in ripe[:1]:
            self._try(self._open, case)
        growing = [case for case in self._of(stream_id) if case.folder is not None]
        has_grown = self._grow(stream_id, growing)
        self._hold(stream_id)
        return has_grown or bool(ripe)

    def _of(self, stream_id: str) -> list[Case]:
        return [case for case in self._cases if case.event.stream_id == stream_id]

    def _end_pass(self, stream_id: str, now_ns: int) -> None:
        """Ends clips of the previous pass when a source restarts; they get no frames of the next pass."""
        over = [case for case in self._of(stream_id) if case.told_ns < now_ns]
        for case in over:
            case.ripe_s = 0.0
        while not self._stop.is_set() and self._advance_in(stream_id):
            pass
        for case in (case for case in over if case in self._cases):
            self._try(self._finish, case, "the source restarted")

    def _hold(self, stream_id: str) -> None:
        """Keeps frames in memory that clips still need."""
        needed = (case.cursor + 1 for case in self._of(stream_id))
        self._ring.hold(stream_id, min(needed, default=None))

    def _open(self, case: Case) -> None:
        """Writes the images of an event and starts its clips."""
        moment = moment_of(case, self._ring)
        if moment is None:
            self.without_any += 1
            self._cases.remove(case)
            return
        partial = self._shelf.begin(case.event.id)
        if partial is None:  # reported again by a restarted sink
            self._cases.remove(case)
            return
        case.folder = partial
        files = pictures_of(case, moment, self._ring, self._past)
        self._start_at(case, moment)
        self._shelf.make_room(2 * sum(map(len, files.values())))
        case.open(partial, moment_ns_of(case, moment, self._ring), files)
        if not case.has_clip:
            self._finish(case)

    def _grow(self, stream_id: str, cases: Iterable[Case]) -> bool:
        """Adds the next frame to all clips that lack it."""
        cases = list(cases)
        if not cases:
            return False
        picture = self._ring.after(stream_id, min(case.cursor for case in cases))
        if picture is None:
            if time.monotonic() - self._arrived_s.get(stream_id, 0.0) > self._silence_s:
                for case in cases:
                    self._try(self._finish, case, "no more frames arrived")
            return False
        behind = [case for case in cases if case.cursor < picture.number]
        for case in behind:
            if not case.wants(picture):
                self._try(self._finish, case)
        behind = [case for case in behind if case in self._cases]
        if behind:
            draw = cache(partial(self._past.drawn, picture))
            for case in behind:
                self._try(self._take, case, picture, draw)
        return True

    def _take(self, case: Case, picture: KeptPicture[Shown], draw: Callable[[], tuple[Image, Image]]) -> None:
        clean, overlay = draw()
        if case.is_empty and self._ring.has_dropped(case.event.stream_id, case.begins_ns):
            case.missing_ns = picture.time_ns - case.begins_ns
        self._shelf.make_room(_FRAGMENT * len(picture.jpeg))
        case.take(picture, clean, overlay)
        self._publish_if(case, case.is_playable)

    def _publish_if(self, case: Case, is_due: bool) -> None:
        if is_due and not case.is_public and case.folder is not None:
            case.moved_to(self._shelf.publish(case.folder))

    def _finish(self, case: Case, why: str = "") -> None:
        if case.folder is None:
            self._open(case)
            if case not in self._cases:
                return
        case.close(why)
        self._publish_if(case, True)
        self._shelf.settle(case.event.id)
        self._shelf.forget_old(now_ns())
        self.written += 1
        self._cases.remove(case)

    # -- errors ------------------------------------------------------------------------------------

    def _try(self, do: Callable[..., None], case: Case, *more: Any) -> None:
        try:
            do(case, *more)
        except Exception as error:  # even a bug affects only this event
            self._give_up(case, error)

    def _give_up(self, case: Case, error: Exception) -> None:
        """Abandons the evidence of an event, for example if the disk is full; keeps only playable clips."""
        case.abandon()
        if case in self._cases:
            self._cases.remove(case)
        if case.is_public and case.folder is not None:
            with suppress(OSError):
                self._shelf.end_early(case.folder, case.about("", ""), why_lost(error))
            self._shelf.settle(case.event.id)
        elif case.folder is not None:
            self._shelf.discard(case.folder)
        self._lose(error)

    def _lose(self, error: Exception, lost: int = 1) -> None:
        self.lost += lost
        self.loss = f"{self._shelf.root}: evidence of {self.lost} events can't be written: {why_lost(error)}"
