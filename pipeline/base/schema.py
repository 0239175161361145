"""Turns msgspec's validation errors into one readable line."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_UNKNOWN = "Object contains unknown field "


def readable(
    error: msgspec.ValidationError, schema: type[msgspec.Struct], values: Mapping[str, Any] | None = None
) -> str:
    """Turns "Expected `int` >= 0 - at `$.run.frames`" into "run.frames: must be a whole number from 0 to 9".

    For an enumeration it lists the allowed values; for a pattern it shows the ``description`` of its
    ``msgspec.Meta``, which is required.

    Args:
        error: The error from the conversion to ``schema``.
        schema: The type to convert to: structs, tables by name, lists and plain types.
        values: The input of the conversion, to find the names of invalid tables.
    """
    what, _, where = str(error).partition(" - at `")
    place = where.removeprefix("key` in `").rstrip("`").removeprefix("$").lstrip(".")
    if where.startswith("key"):
        named = _find(place, schema).key_type
        return f"{place}: names must be {(named.extra_json_schema or {})['description']}"
    place = _named(place, schema, values or {})
    if what.startswith(_UNKNOWN):
        name = what.removeprefix(_UNKNOWN).strip("`")
        key = f"{place}.{name}" if place else name
        known = [field.name for field in getattr(_find(place, schema), "fields", ())]
        return f"unknown key {key!r}{nearest(name, known)}"
    what = what[0].lower() + what[1:]
    if what.startswith("invalid enum value") or " matching regex " in what:
        value = what.removeprefix("invalid enum value ")
        wanted = _choices(place, schema)
        what = f"expected {wanted}" if value == what else f"{value} is not allowed; expected one of: {wanted}"
    else:
        what = _range(place, schema) or what
    return f"{place}: {what}" if place else what


def nearest(name: str, known: Sequence[str]) -> str:
    """A suggestion of the most similar known key; empty if there is none."""
    like = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {like[0]}?)" if like else ""


def _choices(place: str, schema: type[msgspec.Struct]) -> str:
    """The values allowed at a place such as ``capture.wait_for[0]``."""
    node = _find(place, schema)
    if isinstance(node, msgspec.inspect.Metadata):
        return str((node.extra_json_schema or {})["description"])
    return ", ".join(map(str, node.values))


def _range(place: str, schema: type[msgspec.Struct]) -> str | None:
    """The numbers or list lengths allowed at a place; None for other types."""
    match _find(place, schema):
        case msgspec.inspect.IntType(ge=int(least), le=int(most), multiple_of=step):
            return f"must be {f'a multiple of {step}' if step else 'a whole number'} from {least} to {most}"
        # int, too: `typing` caches equal types, so a bound of 0.0 may come back as 0.
        case msgspec.inspect.FloatType(ge=int() | float() as least, le=int() | float() as most):
            return f"must be a number from {least:.12g} to {most:.12g}"
        case msgspec.inspect.FloatType(ge=int() | float() as least, lt=int() | float() as most):
            return f"must be a number from {least:.12g} to under {most:.12g}"
        case msgspec.inspect.ListType(min_length=int(least), max_length=int(most)):
            return f"must be a list of {least} to {most} entries"
    return None


def _find(place: str, schema: type[msgspec.Struct]) -> Any:
    """The type at a place, as ``msgspec.inspect`` describes it."""
    node: Any = msgspec.inspect.type_info(schema)
    for index, name in re.findall(r"\[([0-9.]+)\]|([^.\[\]]+)", place):
        match node := _plain(node):
            case msgspec.inspect.DictType():
                node = node.value_type
            case msgspec.inspect.TupleType():
                node = node.item_types[int(index)]
            case msgspec.inspect.StructType() | msgspec.inspect.DataclassType():
                node = {field.name: field.type for field in node.fields}[name]
            case _:
                node = node.item_type
    return node if _is_described(node) else _plain(node)


def _is_described(node: Any) -> bool:
    return isinstance(node, msgspec.inspect.Metadata)


def _plain(node: Any) -> Any:
    """A type without its metadata and without None."""
    if _is_described(node):
        return _plain(node.type)
    if isinstance(node, msgspec.inspect.UnionType):
        return _plain(next(one for one in node.types if not isinstance(one, msgspec.inspect.NoneType)))
    return node


def _named(place: str, schema: type[msgspec.Struct], values: Mapping[str, Any]) -> str:
    """A place with the name of its table, which msgspec omits: ``zones.door`` for ``zones[...]``."""
    before, found, after = place.partition("[...]")
    tables = _find(before, schema) if found else None
    if not isinstance(tables, msgspec.inspect.DictType):
        return place
    kind: Any = _plain(tables.value_type).cls
    for name in before.split("."):
        values = values.get(name, {})
    for name, value in values.items():
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return f"{before}.{name}{after}"
    return place
