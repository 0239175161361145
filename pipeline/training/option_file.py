"""Reads the options of a training run from a TOML file and from ``key=value`` texts."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.training.options import DATA_DEFAULTS, OPTION_TYPES, FitOptions

_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    tuple: "a list of texts",
}


def load_options(
    path: Path | None, overrides: Sequence[str] = (), given: Mapping[str, Any] | None = None
) -> FitOptions:
    """Reads a TOML file of flat keys, then applies ``key=value`` overrides and values from the command line.

    With ``data``, `DATA_DEFAULTS` stand for what nobody gave.

    Args:
        path: the file; None starts from the defaults.
        overrides: values in TOML notation; quotes around text may be left out.
        given: values by key that win over both.

    Raises:
        ValueError: unreadable file, unknown key, wrong type or impossible value, in one line.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path}: {error}") from None
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise ValueError(f"--set needs key=value, not {override!r}")
        table[key.strip()] = _parse(key.strip(), text.strip())
    table |= dict(given or {})
    written = frozenset(table)
    if table.get("data"):
        table = DATA_DEFAULTS | table
    return FitOptions(**{key: _checked(key, value) for key, value in table.items()}, written=written)


def _parse(key: str, text: str) -> Any:
    kind = OPTION_TYPES.get(key)
    if kind is str and not text.startswith(('"', "'")):
        return text
    if kind is tuple and not text.startswith("["):
        return [part.strip() for part in text.split(",")]
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _checked(key: str, value: Any) -> Any:
    expected = OPTION_TYPES.get(key)
    if expected is None:
        raise ValueError(f"unknown training option {key!r}; known: {', '.join(sorted(OPTION_TYPES))}")
    if expected is float and type(value) is int:
        return float(value)
    if expected is tuple and isinstance(value, list | tuple) and all(type(part) is str for part in value):
        return tuple(value)
    if type(value) is not expected:
        raise ValueError(f"{key} must be {_NAMES[expected]}, not {value!r}")
    return value
