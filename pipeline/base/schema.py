"""Turns msgspec's errors about a wrong value into one line for people."""

import difflib
import re
from typing import Any

import msgspec

_UNKNOWN = "Object contains unknown field "


def readable(error: msgspec.ValidationError, schema: type[msgspec.Struct]) -> str:
    """Turns "Expected `int` >= 0 - at `$.run.frames`" into "run.frames: must be a whole number from 0 to 9".

    Where only some values are allowed it lists them; for a pattern, the
    ``description`` of its ``msgspec.Meta``, which it must have.

    Args:
        error: From converting to ``schema``.
        schema: Structs, lists and plain types.
    """
    what, separator, where = str(error).partition(" - at `$")
    place = where.rstrip("`").lstrip(".")
    if what.startswith(_UNKNOWN):
        name = what.removeprefix(_UNKNOWN).strip("`")
        key = f"{place}.{name}" if place else name
        return f"unknown key {key!r}{_nearest(name, place, schema)}"
    what = what[0].lower() + what[1:]
    if what.startswith("invalid enum value") or " matching regex " in what:
        value = what.removeprefix("invalid enum value ")
        what = f"{f'{value} is not allowed, ' if value != what else ''}choose {_choices(place, schema)}"
    else:
        what = _range(place, schema) or what
    return f"{place}: {what}" if separator and place else what


def _nearest(name: str, place: str, schema: type[msgspec.Struct]) -> str:
    """The key at a place that is most like an unknown one, as a question; nothing if none is."""
    known = [field.name for field in getattr(_find(place, schema), "fields", ())]
    like = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {like[0]}?)" if like else ""


def _choices(place: str, schema: type[msgspec.Struct]) -> str:
    """What may stand at a place such as ``capture.wait_for[0]``."""
    node = _find(place, schema)
    if isinstance(node, msgspec.inspect.Metadata):
        return str((node.extra_json_schema or {})["description"])
    return ", ".join(map(str, node.values))


def _range(place: str, schema: type[msgspec.Struct]) -> str | None:
    """What number may stand at a place; None where none is expected."""
    match _find(place, schema):
        case msgspec.inspect.IntType(ge=int(least), le=int(most), multiple_of=step):
            return f"must be {f'a multiple of {step}' if step else 'a whole number'} from {least} to {most}"
        # int too: `typing` keeps one of two equal types, so a bound of 0.0 may come back as 0.
        case msgspec.inspect.FloatType(ge=int() | float() as least, le=int() | float() as most):
            return f"must be a number from {least:.12g} to {most:.12g}"
    return None


def _find(place: str, schema: type[msgspec.Struct]) -> Any:
    """The type at a place, as ``msgspec.inspect`` describes it."""
    node: Any = msgspec.inspect.type_info(schema)
    for name in re.findall(r"[a-z]\w*|\[", place):
        if isinstance(node, msgspec.inspect.Metadata):
            node = node.type
        node = node.item_type if name == "[" else {f.name: f.type for f in node.fields}[name]
    return node
