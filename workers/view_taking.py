"""Makes the current image of a camera its reference view and moves zones to it."""

from collections.abc import Callable, Collection
from functools import partial

from pipeline.base.clock import now_ns
from pipeline.base.sight import NEW_VIEW, Sight
from pipeline.base.watched import UNNAMED_VIEW, Watch
from pipeline.scene.carried_watch import carry, places_of
from pipeline.wire.messages import Prediction, TakeView
from workers.asking import PATIENCE_S, Request
from workers.watch_replacing import WatchReplacing

_AGAIN_NS = 500_000_000
_MAY_COME_S = 20.0
"""A request expires in inference after 10 s; a prediction that confirms a new view may follow later."""


class _TakeView(Request):
    """A request to take a stream's view.

    Attributes:
        wanted: The message to inference.
        sent_ns: When it was last sent; 0: not yet.
        sight: Where the current view was last seen since the request.
    """

    lasts_s = _MAY_COME_S

    def __init__(self, stream_id: str) -> None:
        super().__init__()
        self.unheard = f"no prediction of {stream_id} for {PATIENCE_S:g} s"
        self.unended = (
            f"inference has not taken the view of {stream_id} yet: see its messages in the terminal"
        )
        self.wanted, self.sent_ns = TakeView(stream_id, now_ns()), 0
        self.sight: Sight | None = None


class ViewTaking:
    """Makes inference take the current image of a camera as its view, and moves zones to it.

    Args:
        replacing: Holds zones, lines and ground.
        apply: Applies new zones, lines and ground in the sink; also takes the reason for end events.
        send: Sends the request to inference.
    """

    def __init__(
        self,
        replacing: WatchReplacing,
        apply: Callable[[Watch, str], None],
        send: Callable[[TakeView], None],
    ) -> None:
        self._replacing, self._asking = replacing, replacing.asking
        self._apply, self._send = partial(_apply, apply), send

    def ask(self, stream_id: str) -> list[str]:
        """Takes the current view of a stream and waits for the result.

        Returns:
            Messages: how long the change lasts, and any notes.

        Raises:
            UserError: The view was not taken. If inference takes it shortly afterwards, zones still move
                with it.
        """
        with self._asking.turn():
            return self._asking.ask(_TakeView(stream_id))

    def see(self, prediction: Prediction, streams: Collection[str]) -> None:
        """Checks the next prediction before rules use it; called from the sink's thread.

        Args:
            prediction: A prediction of any stream.
            streams: All known streams.
        """
        request = self._asking.pending(_TakeView)
        if request is None or request.wanted.stream_id != prediction.stream_id:
            return
        sight = prediction.sight
        if not request.sent_ns and (why := self._why_not(prediction, streams)):
            self._asking.end(request, why)
            return
        before = request.sight or sight
        if sight is None or before is None:
            return
        request.sight = sight
        # 0 for a view from an image file, as after a restart of inference
        if sight.view == before.view and sight.taken_ns not in (0, before.taken_ns):
            if self._asking.begin(request):
                self._finish(request, before)
        elif now_ns() - request.sent_ns >= _AGAIN_NS and request.is_awaited and self._asking.begin(request):
            request.sent_ns = now_ns()
            self._send(request.wanted)

    def _finish(self, request: _TakeView, before: Sight) -> None:
        """Moves zones to the new view."""
        replacing, stream_id = self._replacing, request.wanted.stream_id
        watch, moved, left = carry(replacing.watch, stream_id, before)
        request.answer = [replacing.carry(watch, self._apply) if moved else "nothing had to be moved"]
        if before.view == UNNAMED_VIEW:
            request.answer.append(
                "after a restart, the view is whatever the camera shows then: to keep this one, configure a "
                "view with an image file"
            )
        else:
            request.answer.append(
                f"{watch.views[before.view].picture} was replaced on the machine that runs inference"
            )
        request.answer += [f"{name} is no longer in the image and was left unchanged" for name in left]
        self._asking.end(request)

    def _why_not(self, prediction: Prediction, streams: Collection[str]) -> str:
        """Why the view can't be taken; empty if it can."""
        watch, stream_id, sight = self._replacing.watch, prediction.stream_id, prediction.sight
        if sight is None:
            return (
                f"{stream_id} has no view: it gets one after 3 s if a zone, line, ground "
                "or view was configured at startup, watch.follow_camera is true and the network has "
                "dense motion"
            )
        others = sorted(set(streams) - {stream_id})
        view = watch.views.get(sight.view)
        shared = {f"views.{sight.view}": view} if view else {}
        for name, one in {**shared, **places_of(watch, stream_id, sight.view)}.items():
            if also := next((other for other in others if one.is_in(other)), None):
                return (
                    f"{name} also applies to {also}, whose camera was not turned: "
                    f"set its streams, and add another one for {also}"
                )
        _, moved, left = carry(watch, stream_id, sight)
        if left:
            return f"{left[0]} is no longer in the image: remove it or redraw it first"
        return self._replacing.why_not_carried(moved, for_good=view is not None)


def _apply(apply: Callable[[Watch, str], None], watch: Watch) -> None:
    apply(watch, NEW_VIEW)
