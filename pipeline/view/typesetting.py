"""Renders text of any script as masks, with fonts that have its characters.

Two families are included in the package: DejaVu Sans for Latin, Greek, Cyrillic and more, Droid Sans Fallback
for Chinese, Japanese and Korean. Other characters are looked up in the system's fonts. A character that no
font has is shown as its code point, such as ``U+1F600``.
"""

import os
import subprocess
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ImageFont

CAPITAL_EM = 0.729
"""Height of capitals in the first font, in em."""

_SHIPPED = ("DejaVuSans.ttf", "DroidSansFallback.ttf")
_SHIPPED_BOLD = ("DejaVuSans-Bold.ttf", "DroidSansFallback.ttf")
_SYSTEM_FONTS = ["fc-list", ":scalable=true:color=false", "--format", "%{file}\t%{index}\t%{charset}\n"]
_SYSTEM_TIMEOUT_S = 2.0
_NOT_A_CHARACTER = "\uffff"  # drawn with the glyph that a font uses for missing characters
_PROBE_PX = 16.0
_DIGITS = frozenset("0123456789")


class Face(NamedTuple):
    """One font file; ``number`` selects a font in a collection."""

    path: str
    number: int = 0


class Piece(NamedTuple):
    """A part of a text drawn with one font."""

    face: Face
    text: str


@dataclass(frozen=True, slots=True)
class Mask:
    """A rendered text.

    Attributes:
        cover: Coverage of each pixel by the text, ``(height, width)``, 0 to 1.
        rest: ``1 - cover``.
        left: Columns from the start of the text to the first of ``cover``; negative if ink starts earlier.
        baseline: Row of the baseline in ``cover``.
    """

    cover: npt.NDArray[np.float32]
    rest: npt.NDArray[np.float32]
    left: int
    baseline: int


@cache
def load_system_fonts() -> list[tuple[Face, list[tuple[int, int]]]]:
    """Fonts known to fontconfig and the ranges of characters they have; none without fontconfig.

    Runs fontconfig once, for up to two seconds; call it before the first frame so that drawing does not wait.
    """
    try:
        listed = subprocess.run(_SYSTEM_FONTS, capture_output=True, timeout=_SYSTEM_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    fonts = []
    for line in sorted(os.fsdecode(listed.stdout).split("\n")):
        with suppress(ValueError):  # malformed line: a path may contain anything, even a line break
            path, index, charset = line.rsplit("\t", 2)
            bounds = [part.split("-") for part in charset.split()]
            ranges = [(int(ends[0], 16), int(ends[-1], 16)) for ends in bounds]
            fonts.append((Face(path, int(index)), ranges))
    return fonts


@lru_cache(maxsize=1024)
def text_width(text: str, em_px: float, bold: bool = False) -> int:
    """Width of a text in pixels."""
    return round(sum(_advance(piece, em_px) for piece in pieces(text, bold)))


@lru_cache(maxsize=128)
def text_mask(text: str, em_px: float, bold: bool = False) -> Mask:
    """Renders a text; recent results are cached."""
    margin, above, below = round(em_px / 4) + 1, round(em_px * 1.2) + 1, round(em_px * 0.45) + 1
    cover = np.zeros((above + below, text_width(text, em_px, bold) + 2 * margin), np.uint8)
    x = float(margin)
    for piece in pieces(text, bold):
        ink, right, down = _ink(piece, em_px)
        top, left = max(0, above + down), max(0, round(x) + right)
        part = cover[top : top + ink.shape[0], left : left + ink.shape[1]]
        np.maximum(part, ink[: part.shape[0], : part.shape[1]], out=part)
        x += _advance(piece, em_px)
    share = cover.astype(np.float32) / np.float32(255)
    return Mask(share, 1 - share, -margin, above)


@lru_cache(maxsize=1024)
def pieces(text: str, bold: bool = False) -> tuple[Piece, ...]:
    """A text in pieces, each with its font.

    Digits are separate pieces, so that numbers that change with every frame are composed of cached glyphs.
    """
    chosen: list[Piece] = []
    for letter in text:
        kind = unicodedata.category(letter)
        attached = kind in ("Mn", "Mc", "Me", "Cf") and bool(chosen)
        face = chosen[-1].face if attached and _has(chosen[-1].face, letter) else _face_for(letter, bold)
        if face is not None:
            chosen.append(Piece(face, letter))
        elif kind != "Cf":  # format characters without a font are invisible
            chosen.append(Piece(_shipped(bold)[0], f"U+{ord(letter):04X}"))
    grouped = groupby(enumerate(chosen), key=lambda one: (one[1].face, one[1].text in _DIGITS and one[0]))
    return tuple(Piece(face, "".join(one.text for _, one in group)) for (face, _), group in grouped)


@lru_cache(maxsize=4096)
def _advance(piece: Piece, em_px: float) -> float:
    return _open_font(piece.face, em_px).getlength(piece.text)


@lru_cache(maxsize=1024)
def _ink(piece: Piece, em_px: float) -> tuple[npt.NDArray[np.uint8], int, int]:
    """A rendered piece, and its upper left corner: pixels right of its start, and down from the baseline."""
    mask, (right, down) = _open_font(piece.face, em_px).getmask2(piece.text, "L", anchor="ls")
    width, height = mask.size
    return np.frombuffer(bytes(mask), np.uint8).reshape(height, width), right, down


@lru_cache(maxsize=4096)
def _face_for(letter: str, bold: bool) -> Face | None:
    if not letter.isprintable():
        return None
    shipped = next((face for face in _shipped(bold) if _has(face, letter)), None)
    if shipped is not None:
        return shipped
    code = ord(letter)
    named = (
        face for face, ranges in load_system_fonts() if any(first <= code <= last for first, last in ranges)
    )
    return next((face for face in named if _has(face, letter)), None)


@lru_cache(maxsize=8192)
def _has(face: Face, letter: str) -> bool:
    try:
        # Basic layout: shaping would add a dotted circle to a lone accent.
        file, plain = BytesIO(_font_file(face.path)), ImageFont.Layout.BASIC
        font = ImageFont.truetype(file, _PROBE_PX, face.number, layout_engine=plain)
        return bytes(font.getmask(letter)) != bytes(font.getmask(_NOT_A_CHARACTER))
    except OSError:  # a system font that FreeType cannot read
        return False


@cache
def _shipped(bold: bool) -> tuple[Face, ...]:
    folder = resources.files(__package__).joinpath("fonts")
    return tuple(Face(str(folder.joinpath(name))) for name in (_SHIPPED_BOLD if bold else _SHIPPED))


@lru_cache(maxsize=64)
def _open_font(face: Face, em_px: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(BytesIO(_font_file(face.path)), em_px, face.number)


@lru_cache(maxsize=16)
def _font_file(path: str) -> bytes:
    """The content of a font file; cached, because later there may be no file descriptor left to open it."""
    return Path(path).read_bytes()
