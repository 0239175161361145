"""Options in layers: defaults, TOML file, single keys, command line; checked against a schema."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pipeline.base.errors import ConfigError
from pipeline.base.redact import redact
from pipeline.base.schema import readable

T = TypeVar("T", bound=msgspec.Struct)


def fill(
    schema: type[T],
    defaults: Sequence[Mapping[str, Any]],
    path: str | Path | None,
    overrides: Sequence[str],
    options: Mapping[str, Any] | None = None,
    *,
    keys_in: str,
) -> T:
    """Fills a schema; later layers win, key by key.

    Args:
        schema: The struct to fill.
        defaults: Tables in increasing priority.
        path: A TOML file with the keys that differ from the defaults; None if there is none.
        overrides: ``"section.key=value"`` each, the value as in TOML; strings may be unquoted.
        options: Values of dedicated command line options.
        keys_in: The file or files that list all keys, for error messages.

    Raises:
        ConfigError: The file can't be read, is not TOML, or has an unknown key or an invalid value; the
            message names the key and the expected value.
    """
    values: dict[str, Any] = {}
    for table in (*defaults, read_table(path), *map(parse_override, overrides), options or {}):
        merge(values, table)
    try:
        return msgspec.convert(values, schema)
    except msgspec.ValidationError as error:
        origin = "command line" if path is None else str(path)
        raise ConfigError(f"{origin}: {readable(error, schema, values)}; all keys are in {keys_in}") from None


def read_table(path: str | Path | None) -> dict[str, Any]:
    """The content of a TOML file; empty for None.

    Raises:
        ConfigError: The file can't be read, or is not TOML.
    """
    if path is None:
        return {}
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # includes numbers and nesting beyond Python's limits
        raise ConfigError(f"{path}: not valid TOML: {redact(str(error))}") from None


def parse_override(override: str) -> dict[str, Any]:
    """Parses ``section.key=value`` into a nested table.

    Raises:
        ConfigError: The key or the value is missing.
    """
    key, separator, text = override.partition("=")
    names = key.strip().split(".")
    if not separator or not all(names):
        raise ConfigError(
            f"--set {redact(override)}: expected section.key=value, as in capture.encoding=jpeg"
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # includes numbers and nesting beyond Python's limits
        value = text.strip()
    for name in reversed(names):
        value = {name: value}
    return dict(value)


def merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Merges ``values`` into ``into`` recursively; ``values`` win."""
    for name, value in values.items():
        if isinstance(value, dict):
            into[name] = dict(into[name]) if isinstance(into.get(name), dict) else {}
            merge(into[name], value)
        else:
            into[name] = value
