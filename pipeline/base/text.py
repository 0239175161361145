"""Text from outside the program: printable characters, and valid stream names."""

import re
from typing import Annotated, TypeAlias

import msgspec

# Control characters and line breaks, direction overrides and other invisible marks, unusual spaces,
# surrogates, private use, tags. Joiners (U+200C, U+200D) are allowed: scripts and emoji need them.
_UNPRINTABLE = (
    r"\x00-\x1f\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u3000"
    r"\ud800-\uf8ff\ufeff\ufff9-\ufffb\U000e0000-\U000e00ff\U000f0000-\U0010ffff"
)
_FIND = re.compile(f"[{_UNPRINTABLE}]")

# Of 64 characters at most 48 have 4 bytes in UTF-8: at most 240 bytes, which leaves room for ".part99.mp4".
_FOUR_BYTES = r"\U00010000-\U0010ffff"
_SHORT_ENOUGH = rf"(?!(?:[^{_FOUR_BYTES}]*[{_FOUR_BYTES}]){{49}})"

StreamId: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"\A(?![ .]){_SHORT_ENOUGH}[^/{_UNPRINTABLE}]{{1,64}}(?<! )\Z",
        description=(
            "1 to 64 printable characters of any script, at most 48 of them emoji or other characters of "
            "four bytes, without /, not beginning with . or a space, and not ending with a space"
        ),
    ),
]
"""Name of a stream. It is used in file names, URLs and topics: no ``/``, no ``..``, at most 240 bytes."""
Name: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z",
        description="1 to 64 letters, digits, _ . or -, not beginning with . or -",
    ),
]
"""Name of a zone, line, rule or other table; used in topics and URLs."""


def printable(text: str) -> str:
    """Replaces with spaces all characters that could disturb a terminal or mislead a reader.

    These are control characters (escape sequences, line breaks), and marks that hide or reorder text.
    """
    return _FIND.sub(" ", text)
