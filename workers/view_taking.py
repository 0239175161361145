"""What a camera shows becomes its reference view: any thread asks, the sink's thread carries zones there."""

import threading
from collections.abc import Callable, Collection
from functools import partial

from pipeline.base.clock import now_ns
from pipeline.base.errors import UserError
from pipeline.base.sight import NEW_VIEW, Sight
from pipeline.base.watched import UNNAMED_VIEW, Watch
from pipeline.scene.carried_watch import carry, places_of
from pipeline.wire.messages import Prediction, TakeView
from workers.watch_replacing import WatchReplacing

_PATIENCE_S = 10.0
_AGAIN_NS = 500_000_000


class _Request:
    """One request.

    Attributes:
        wanted: What inference is asked for.
        sent_ns: When it was asked last; 0: not yet.
        sight: Where the present view was seen last, since it was asked.
        over: It was done or refused.
        refusal: Why it was not done, in words; empty if it was.
        answer: What there is to know of it.
    """

    def __init__(self, stream_id: str) -> None:
        self.wanted, self.sent_ns = TakeView(stream_id, now_ns()), 0
        self.sight: Sight | None = None
        self.over, self.refusal = threading.Event(), ""
        self.answer: list[str] = []

    def refuse(self, why: str) -> None:
        self.refusal = why
        self.over.set()


class ViewTaking:
    """Has inference take what a camera shows as the view that counts, and carries zones there.

    Args:
        replacing: Keeps zones, lines and ground.
        apply: Has the sink follow others, and says why the ends came.
        send: Asks inference.
    """

    def __init__(
        self,
        replacing: WatchReplacing,
        apply: Callable[[Watch, str], None],
        send: Callable[[TakeView], None],
    ) -> None:
        self._replacing, self._apply, self._send = replacing, partial(_apply, apply), send
        self._lock = threading.Lock()
        self._request: _Request | None = None
        self._refusal = ""

    def ask(self, stream_id: str) -> list[str]:
        """Takes the present view of a stream; waits until that is done.

        Returns:
            How long it lasts, and what else there is to know, in words.

        Raises:
            UserError: Why it was not done.
        """
        with self._replacing.turn:
            request = _Request(stream_id)
            with self._lock:
                if self._refusal:
                    raise UserError(self._refusal)
                self._request = request
            if not request.over.wait(_PATIENCE_S):
                with self._lock:
                    if not request.sent_ns:
                        self._request = None
                        raise UserError(f"no prediction of {stream_id} has come for {_PATIENCE_S:g} s")
                # It goes on waiting: should inference take the view later, zones go along.
                raise UserError("inference has not taken it yet: see what it says in the terminal")
            if request.refusal:
                raise UserError(request.refusal)
            return request.answer

    @property
    def is_asked(self) -> bool:
        """Whether somebody has asked, and it is not done yet."""
        return self._request is not None

    def refuse(self, why: str) -> None:
        """Refuses what was asked for, and all that will be; called by the sink's thread."""
        with self._lock:
            request, self._request, self._refusal = self._request, None, why
        if request:
            request.refuse(why)

    def see(self, prediction: Prediction, streams: Collection[str]) -> None:
        """Takes the next prediction before it is judged; called by the sink's thread.

        Args:
            prediction: Of any stream.
            streams: All that are known.
        """
        with self._lock:
            request = self._request
            if request is None or request.wanted.stream_id != prediction.stream_id:
                return
            sight = prediction.sight
            if not request.sent_ns and (why := self._why_not(prediction, streams)):
                self._request = None
                request.refuse(why)
                return
            before = request.sight or sight
            if sight is None or before is None:
                return
            request.sight = sight
            # of a view from a picture it is 0, as after a restart of inference
            is_taken = sight.view == before.view and sight.taken_ns not in (0, before.taken_ns)
            if not is_taken:
                if now_ns() - request.sent_ns >= _AGAIN_NS:
                    request.sent_ns = now_ns()
                    self._send(request.wanted)
                return
            self._request = None
        self._finish(request, before)

    def _finish(self, request: _Request, before: Sight) -> None:
        """Carries zones to the picture that has become the view."""
        replacing, stream_id = self._replacing, request.wanted.stream_id
        watch, moved, left = carry(replacing.watch, stream_id, before)
        request.answer = [replacing.carry(watch, self._apply) if moved else "nothing had to move along"]
        if before.view == UNNAMED_VIEW:
            request.answer.append("at the next start the view is what the camera shows then: name a picture")
        else:
            request.answer.append(f"{watch.views[before.view].picture} was replaced, where inference runs")
        request.answer += [f"{name} is not in the picture any more, and stays as it was" for name in left]
        request.over.set()

    def _why_not(self, prediction: Prediction, streams: Collection[str]) -> str:
        """Why the view can't be taken, in words; empty if it can."""
        watch, stream_id, sight = self._replacing.watch, prediction.stream_id, prediction.sight
        if sight is None:
            return (
                f"{stream_id} has no view: it gets one after three seconds, where a zone, line, ground "
                "or view was there at the start, watch.follow_camera is true and the network has dense motion"
            )
        others = sorted(set(streams) - {stream_id})
        view = watch.views.get(sight.view)
        shared = {f"views.{sight.view}": view} if view else {}
        for name, one in {**shared, **places_of(watch, stream_id, sight.view)}.items():
            if also := next((other for other in others if one.is_in(other)), None):
                return (
                    f"{name} counts in {also} as well, whose camera was not turned: "
                    f"name its streams, and make another one for {also}"
                )
        _, moved, left = carry(watch, stream_id, sight)
        if left:
            return f"{left[0]} is not in the picture any more: remove it, or draw it anew, before"
        return self._replacing.why_not_carried(moved, for_good=view is not None)


def _apply(apply: Callable[[Watch, str], None], watch: Watch) -> None:
    apply(watch, NEW_VIEW)
