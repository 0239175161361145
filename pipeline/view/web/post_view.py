"""``POST /api/streams/{id}/view``: makes the current image the reference view; needs the token."""

from collections.abc import Callable
from typing import Any, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from pipeline.base.errors import UserError
from pipeline.view.web.board import Board
from pipeline.view.web.put_zones import check_token

TakeView: TypeAlias = Callable[[str], list[str]]
"""Takes the present view of a stream, in any thread; returns what there is to know, as ``ReplaceWatch``."""


class PostView:
    """Judges requests, and hands on what they want.

    Args:
        board: Knows the streams.
        token: What a request has to have; None: nothing can be changed.
        take_view: Does it; None: it can't be done.
    """

    def __init__(self, board: Board, token: str | None, take_view: TakeView | None) -> None:
        self._board, self._token, self._take_view = board, token, take_view

    async def post(self, request: Request) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            HTTPException: 401 or 403 without the right token, 404 for an unknown stream, 409 for what can't
                be done now.
        """
        take_view = check_token(request, self._token, self._take_view)
        stream_id = request.path_params["stream_id"]
        if stream_id not in self._board.stream_ids:
            raise HTTPException(404, f"there is no stream {stream_id!r}; /api/streams lists them")
        try:
            lasts, *notes = await run_in_threadpool(take_view, stream_id)
        except UserError as error:
            raise HTTPException(409, str(error)) from None
        return {"lasts": lasts, "notes": notes}
