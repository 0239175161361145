"""Writes zones, lines and rules as a TOML file."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from pipeline.base.errors import UserError
from pipeline.base.files import write_whole
from pipeline.base.watched import Watch

_MARK = "# In place of what the pipeline was started with: "


def write_watch(path: Path, watch: Watch, before: Watch) -> None:
    """Writes a file for ``load_watch`` atomically; existing comments are lost.

    Args:
        path: Path of the file, ``watch.file``.
        watch: The content.
        before: The configuration that the pipeline was started with: see ``replaces``.

    Raises:
        UserError: The file can't be written; it is unchanged.
    """
    head = f"# Written by PUT /api/zones.\n{_MARK}{_digest(before)}\n"
    try:
        write_whole(path, head + watch_text(watch), sync=True)
    except OSError as error:
        raise UserError(f"watch.file: {path} can't be written: {error.strerror}") from None


def replaces(path: Path, before: Watch) -> bool:
    """Whether ``write_watch`` wrote a file as a replacement for the configuration ``before``."""
    try:
        return f"{_MARK}{_digest(before)}\n" in path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def watch_text(watch: Watch) -> str:
    """Formats a ``Watch`` as TOML without default values."""
    parts = []
    for kind in Watch.__struct_fields__:
        for name, one in getattr(watch, kind).items():
            lines = [f"[{kind}.{json.dumps(name)}]"]
            defaults = {field.name: field.default for field in msgspec.structs.fields(one)}
            for key in one.__struct_fields__:
                value = msgspec.to_builtins(getattr(one, key))
                if value not in (None, [], {}) and value != defaults[key]:
                    lines.append(f"{key} = {_toml(value)}")
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _toml(value: Any) -> str:
    """Formats a value as TOML; strings are formatted as in JSON, with U+007F escaped too."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {_toml(one)}' for key, one in value.items())}}}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _digest(watch: Watch) -> str:
    return hashlib.blake2b(msgspec.json.encode(watch), digest_size=12).hexdigest()
