"""The HTTP response that shows to which places in past frames one place of the newest frame attends."""

import math
from base64 import b64encode
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Point, Thing
from pipeline.view.attention_maps import unfold
from pipeline.view.thumbnails import make_thumbnail
from pipeline.view.web.board import Attended, encode_jpeg
from pipeline.wire.messages import Prediction

_LARGEST_PX = 960


def read_place(x: str | None, y: str | None) -> Point:
    """The place in the image given by a request.

    Raises:
        HTTPException: 400, it is missing or invalid.
    """

    def share(name: str, text: str | None) -> float:
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not 0 <= value <= 1:
            raise HTTPException(400, f"{name} must be a fraction of the image, from 0 to 1: ?x=0.5&y=0.5")
        return value

    return share("x", x), share("y", y)


def attention_of(
    attended: Attended | None, stream_id: str, place: Point, with_pictures: bool = False
) -> dict[str, Any]:
    """Attention of the cell at a place; plain JSON data, past frames oldest first.

    Args:
        attended: The newest prediction with attention.
        stream_id: Its stream.
        place: The place in its image.
        with_pictures: Whether to include the images.

    Raises:
        HTTPException: 409, the newest prediction has no attention, or no past frames.
    """
    if attended is None:
        raise HTTPException(
            409,
            f"the newest prediction of {stream_id!r} has no attention: set inference.attention=true",
        )
    prediction, header = attended.prediction, attended.prediction.attention
    if header is None or not prediction.past:
        raise HTTPException(409, f"the newest prediction of {stream_id!r} has no past frames")
    row, column = _cell(place[1], header.query_rows), _cell(place[0], header.query_columns)
    weights = unfold(header, attended.weights)[row, column]
    thing = _thing_at(prediction, place)
    past = zip(prediction.past, weights[-len(prediction.past) :], attended.past_images, strict=True)
    return {
        "epoch": prediction.epoch,
        "seq": prediction.seq,
        "cell": _box(row, column, header.query_rows, header.query_columns),
        "thing": None if thing is None else {"box": thing.box, "outline": thing.outline},
        **({"picture": _picture(stream_id, attended.image)} if with_pictures else {}),
        "past": [
            {
                "epoch": frame.epoch,
                "seq": frame.seq,
                "age_ms": frame.age_ms,
                "share": round(float(grid.sum()), 4),
                "most": _most(grid),
                "weights": [[round(float(one), 5) for one in line] for line in grid],
                "thing": None if thing is None else {"box": thing.was[number]},
                **({"picture": _picture(stream_id, image)} if with_pictures else {}),
            }
            for number, (frame, grid, image) in enumerate(past)
        ],
    }


def _thing_at(prediction: Prediction, place: Point) -> Thing | None:
    """The smallest thing at a place."""

    def is_there(thing: Thing) -> bool:
        x, y, width, height = thing.box
        return x <= place[0] <= x + width and y <= place[1] <= y + height

    things = [thing for thing in prediction.things or () if is_there(thing)]
    seen = [thing for thing in things if len(thing.was) == prediction.depth]
    return min(seen, key=lambda thing: thing.box[2] * thing.box[3], default=None)


def _picture(stream_id: str, image: Image | None) -> str | None:
    """A JPEG data URL; None if the image is no longer available."""
    if image is None:
        return None
    jpeg = encode_jpeg(stream_id, make_thumbnail(image, _LARGEST_PX))
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"


def _cell(share: float, count: int) -> int:
    return min(int(share * count), count - 1)


def _most(grid: Any) -> dict[str, float]:
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    return _box(int(row), int(column), *grid.shape) | {"weight": round(float(grid.max()), 5)}


def _box(row: int, column: int, rows: int, columns: int) -> dict[str, float]:
    """Centre and size of a cell, as shares of the image."""
    return {
        "x": round((column + 0.5) / columns, 4),
        "y": round((row + 0.5) / rows, 4),
        "width": round(1 / columns, 4),
        "height": round(1 / rows, 4),
    }
