"""Where the attention of one place looked in the past frames: an answer of the HTTP API."""

from typing import Any, NamedTuple

import numpy as np
from starlette.exceptions import HTTPException

from pipeline.view.attention_maps import unfold
from pipeline.view.web.board import Attended


class Place(NamedTuple):
    """A place in the picture: shares of its width and height, from the upper left."""

    x: float
    y: float


def read_place(x: str | None, y: str | None) -> Place:
    """The place that a request names.

    Raises:
        HTTPException: 400, it names none.
    """
    values = []
    for name, text in (("x", x), ("y", y)):
        try:
            value = float(text or "")
        except ValueError:
            value = np.nan
        if not 0 <= value <= 1:
            raise HTTPException(400, f"{name}: give it as a share of the picture, from 0 to 1: ?x=0.5&y=0.5")
        values.append(value)
    return Place(*values)


def attention_of(attended: Attended | None, stream_id: str, place: Place) -> dict[str, Any]:
    """Where the cell at a place looked; plain JSON data, past frames oldest first.

    Raises:
        HTTPException: 409, the newest prediction came without attention, or without a past.
    """
    if attended is None:
        raise HTTPException(
            409,
            f"no attention came with the newest prediction of {stream_id!r}: set inference.attention=true",
        )
    prediction, header = attended.prediction, attended.prediction.attention
    if header is None or not prediction.past:
        raise HTTPException(409, f"the newest prediction of {stream_id!r} saw no past frame")
    row, column = _cell(place.y, header.query_rows), _cell(place.x, header.query_columns)
    weights = unfold(header, attended.weights)[row, column]
    past = zip(prediction.past, weights[-len(prediction.past) :], strict=True)
    return {
        "epoch": prediction.epoch,
        "seq": prediction.seq,
        "cell": _box(row, column, header.query_rows, header.query_columns),
        "past": [
            {
                "epoch": frame.epoch,
                "seq": frame.seq,
                "age_ms": frame.age_ms,
                "share": round(float(grid.sum()), 4),
                "most": _most(grid),
                "weights": [[round(float(one), 5) for one in line] for line in grid],
            }
            for frame, grid in past
        ],
    }


def _cell(share: float, count: int) -> int:
    return min(int(share * count), count - 1)


def _most(grid: Any) -> dict[str, float]:
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    return _box(int(row), int(column), *grid.shape) | {"weight": round(float(grid.max()), 5)}


def _box(row: int, column: int, rows: int, columns: int) -> dict[str, float]:
    """The middle of a cell, and its size, as shares of the picture."""
    return {
        "x": round((column + 0.5) / columns, 4),
        "y": round((row + 0.5) / rows, 4),
        "width": round(1 / columns, 4),
        "height": round(1 / rows, 4),
    }
