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
"""Takes the current view of a stream, in any thread; returns messages as ``ReplaceWatch`` does."""


class PostView:
    """Checks requests and passes them on.

    Args:
        board: For the names of the streams.
        token: Required in requests; None disables changes.
        take_view: Takes the view; None if that is not possible.
    """

    def __init__(self, board: Board, token: str | None, take_view: TakeView | None) -> None:
        self._board, self._token, self._take_view = board, token, take_view

    async def post(self, request: Request) -> dict[str, Any]:
        """Handles a request.

        Raises:
            HTTPException: 401 or 403 without the right token, 404 for an unknown stream, 409 if it is
                not possible now.
        """
        take_view = check_token(request, self._token, self._take_view)
        stream_id = request.path_params["stream_id"]
        if stream_id not in self._board.stream_ids:
            raise HTTPException(404, f"there is no stream {stream_id!r}; see /api/streams")
        try:
            lasts, *notes = await run_in_threadpool(take_view, stream_id)
        except UserError as error:
            raise HTTPException(409, str(error)) from None
        return {"lasts": lasts, "notes": notes}
