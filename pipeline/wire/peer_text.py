"""Makes text from peers printable, before any other code sees it."""

from typing import Any, TypeVar

import msgspec

from pipeline.base.text import printable

T = TypeVar("T", bound=msgspec.Struct)
_NUMBERS = frozenset((int, float, bool, type(None)))  # skipped first, for speed


def with_printable_text(message: T) -> T:
    """Makes all strings of a decoded message printable, in place and at any depth.

    Stream ids are printable already: the schema enforces it (``base.text.StreamId``).
    """
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if type(value) not in _NUMBERS and (clean := _printable(value)) is not value:
            msgspec.structs.force_setattr(message, name, clean)
    return message


def _printable(value: Any) -> Any:
    """The value with printable text; the same object if nothing had to be replaced."""
    match value:
        case str():
            return value if value.isprintable() else printable(value)
        case list() | tuple():
            items = [_printable(item) for item in value]
            return value if all(map(_is, items, value)) else type(value)(items)
        case dict():
            for key in [key for key in value if isinstance(key, str) and not key.isprintable()]:
                value[printable(key)] = value.pop(key)
            for key, item in value.items():
                value[key] = _printable(item)
            return value
        case msgspec.Struct():
            return with_printable_text(value)
    return value


def _is(one: Any, other: Any) -> bool:
    return one is other
