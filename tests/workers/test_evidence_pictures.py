"""What is kept of pictures for evidence."""

import sys
from dataclasses import fields, is_dataclass, replace
from typing import Any

import msgspec
import numpy as np

from pipeline.base.moving_thing import MOST_OUTLINE_POINTS, MOST_TRAIL_POINTS, Thing
from tests.workers.evidence_samples import shown
from workers.evidence_pictures import details_bytes, kept


def full(number: int, was: int = 2) -> Thing:
    """With all the points that it can have, none of them shared."""
    numbers = iter(np.linspace(number, number + 1, 400) / 100)

    def some(count: int) -> Any:
        return tuple(float(next(numbers)) for _ in range(count))

    return Thing(
        id=1000 + number,
        box=some(4),
        outline=[some(2) for _ in range(MOST_OUTLINE_POINTS)],
        speed=some(1)[0],
        direction_deg=some(1)[0],
        age_ms=some(1)[0],
        score=some(1)[0],
        trail=[some(2) for _ in range(MOST_TRAIL_POINTS)],
        was=[some(4) for _ in range(was)],
    )


def measured(what: Any, known: set[int]) -> int:
    """Bytes of an object and all that it holds."""
    if id(what) in known:
        return 0
    known.add(id(what))
    parts: list[Any] = []
    if isinstance(what, np.ndarray):
        return what.nbytes
    if isinstance(what, dict):
        parts = [*what.keys(), *what.values()]
    elif isinstance(what, list | tuple):
        parts = [*what]
    elif isinstance(what, msgspec.Struct):
        parts = [getattr(what, name) for name in what.__struct_fields__]
    elif is_dataclass(what):
        parts = [getattr(what, field.name) for field in fields(what)]
    return sys.getsizeof(what) + sum(measured(part, known) for part in parts)


def test_a_picture_is_charged_what_it_holds() -> None:
    image, one = shown(5)
    assert one.prediction is not None
    for count, was in ((0, 0), (1, 2), (20, 2), (32, 7)):
        things = [full(number, was) for number in range(count)]
        crowded = replace(one, prediction=msgspec.structs.replace(one.prediction, things=things))
        assert measured(crowded, set()) <= details_bytes(crowded) <= measured(crowded, set()) * 1.3 + 4096
        picture = kept(image, crowded)
        assert picture.nbytes == len(picture.jpeg) + details_bytes(crowded)
    attention = np.zeros((49, 98), np.float16)
    assert details_bytes(replace(one, attention=attention)) == details_bytes(one) + attention.nbytes
    assert details_bytes(replace(one, held=one.prediction)) > details_bytes(one)
