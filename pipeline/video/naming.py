"""The default name of a source's stream."""

import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

from pipeline.base.redact import redact_source
from pipeline.video.open import DEVICE

_LOGIN = re.compile(r":.*@", re.DOTALL)
_LONGEST = 48
"""Largest number of characters; leaves room for a numeric suffix, even if all have four bytes."""


def default_stream_id(text: str, taken: Collection[str]) -> str:
    """A name for the stream of a source, such as ``demo``, ``cam0``, ``clip`` or a host name.

    Args:
        text: The source, as for ``open_source``.
        taken: Names that are in use already.

    Returns:
        A name of letters of any script, digits, ``-`` and ``_``, at most 64 characters, not in ``taken``.
    """
    if device := DEVICE.fullmatch(text):
        name = f"cam{device[1]}"
    elif "://" in text or _LOGIN.search(text):
        # Remove the login first: a password may contain anything, even "://".
        name = re.sub(r"^[A-Za-z0-9+.-]+://+", "", text.rpartition("@")[2])
        name = re.split(r"[:/?#]", name, maxsplit=1)[0]
    else:
        name = Path(redact_source(text)).resolve().stem if text != "demo" else text
    # Normalise Unicode: file names on macOS are decomposed.
    name = unicodedata.normalize("NFC", name)
    kept = (character if _is_kept(character) else "-" for character in name)
    name = re.sub("-+", "-", "".join(kept)).strip("-")[:_LONGEST].strip("-") or "stream"
    free, count = name, 2
    while free in taken:
        free, count = f"{name}-{count}", count + 1
    return free


def _is_kept(character: str) -> bool:
    """Whether it is a letter, a mark that belongs to one, a digit or ``_``."""
    return character == "_" or unicodedata.category(character)[0] in "LMN"
