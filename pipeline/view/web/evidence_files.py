"""Serves the evidence files of events over HTTP."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from pipeline.base.evidence import CLIP, EVENT, FILES, GROWING, OVERLAY_CLIP

FolderOf: TypeAlias = Callable[[str], Path]
"""Maps an event id to the folder of its evidence."""

_TYPES = {".jpg": "image/jpeg", ".mp4": "video/mp4", ".json": "application/json"}


class _Clip(msgspec.Struct):
    state: str = ""


class _About(msgspec.Struct):
    """The part of ``event.json`` about the evidence itself."""

    clip: _Clip = msgspec.field(default_factory=_Clip)


_EVENT_ID = re.compile(r"[0-9a-f]{16}")


class EvidenceFiles:
    """Serves evidence files by event id and name; request paths are never used as file paths.

    Args:
        folder_of: Returns the folder of an event's evidence; None if evidence is not stored.
    """

    def __init__(self, folder_of: FolderOf | None) -> None:
        self._folder_of = folder_of

    def routes(self) -> list[Route]:
        """Routes below ``/api``."""
        return [
            Route("/events/{event_id}/evidence", self._list),
            Route("/events/{event_id}/evidence/{name}", self._file),
        ]

    async def _list(self, request: Request) -> Response:
        event_id = _checked(request.path_params["event_id"])
        if self._folder_of is None:
            return JSONResponse({"kept": False, "complete": True, "files": []})
        return JSONResponse({"kept": True, **await run_in_threadpool(_there, self._folder_of(event_id))})

    async def _file(self, request: Request) -> Response:
        event_id, name = _checked(request.path_params["event_id"]), request.path_params["name"]
        if name not in FILES:
            raise HTTPException(404, f"there is no file {name!r}; expected one of: {', '.join(FILES)}")
        if self._folder_of is None:
            raise HTTPException(404, "evidence is not stored")
        folder = self._folder_of(event_id)
        if name not in (await run_in_threadpool(_there, folder))["files"]:
            raise HTTPException(
                404, f"{name} of event {event_id} does not exist: not written yet, deleted, or never stored"
            )
        return FileResponse(folder / name, media_type=_TYPES[Path(name).suffix])


def _there(folder: Path) -> dict[str, Any]:
    """The readable files, and whether they are complete; clips that are still growing are excluded."""
    try:
        about = msgspec.json.decode((folder / EVENT).read_bytes(), type=_About)
    except (OSError, msgspec.DecodeError):
        about = None
    is_growing = about is not None and about.clip.state == GROWING
    names = [name for name in FILES if not (is_growing and name in (CLIP, OVERLAY_CLIP))]
    files = [name for name in names if (folder / name).is_file()]
    return {"complete": about is not None and not is_growing, "files": files}


def _checked(event_id: str) -> str:
    if not _EVENT_ID.fullmatch(event_id):
        raise HTTPException(404, f"{event_id!r} is not an event id: an id has 16 hexadecimal digits")
    return event_id
