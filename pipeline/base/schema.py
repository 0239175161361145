"""What msgspec says of a wrong value, in words for people."""

import re
from typing import Any

import msgspec


def readable(error: msgspec.ValidationError, schema: type[msgspec.Struct]) -> str:
    """Turns "Expected `int`, got `str` - at `$.run.frames`" into "run.frames: expected `int`, got `str`".

    Where only some values are allowed it lists them; for a pattern, the ``description`` of its
    ``msgspec.Meta``, which it must have.

    Args:
        error: From converting to ``schema``.
        schema: Structs, lists and plain types.
    """
    what, separator, where = str(error).partition(" - at `$")
    place = where.rstrip("`").lstrip(".")
    unknown = "Object contains unknown field "
    if what.startswith(unknown):
        name = what.removeprefix(unknown).strip("`")
        return f"unknown key {f'{place}.{name}' if place else name!r}"
    what = what[0].lower() + what[1:]
    if what.startswith("invalid enum value") or " matching regex " in what:
        value = what.removeprefix("invalid enum value ")
        what = f"{f'{value} is not allowed, ' if value != what else ''}choose {_choices(place, schema)}"
    return f"{place}: {what}" if separator and place else what


def _choices(place: str, schema: type[msgspec.Struct]) -> str:
    """What may stand at a place such as ``capture.wait_for[0]``, in words."""
    node: Any = msgspec.inspect.type_info(schema)
    for name in re.findall(r"[a-z]\w*|\[", place):
        if isinstance(node, msgspec.inspect.Metadata):
            node = node.type
        node = node.item_type if name == "[" else {f.name: f.type for f in node.fields}[name]
    if isinstance(node, msgspec.inspect.Metadata):
        return str((node.extra_json_schema or {})["description"])
    return ", ".join(map(str, node.values))
