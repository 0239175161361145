import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fontTools.ttLib import TTFont

from pipeline.view import typesetting
from pipeline.view.typesetting import pieces, text_mask, text_width

FONTS = Path(typesetting.__file__).parent / "fonts"
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bold", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "front_door 12.5 fps",
        "Überwachung œuvre Łódź",
        "жест 手",
        "Ελληνικά",
        "日本語 ひらがな カタカナ",
        "한국어",
        "中文字幕，测试。",
        "سلام",
        "שלום",
        "e\u0301",
    ],
)
def test_every_character_gets_a_font_of_the_package_that_has_it(text, bold):
    shown = pieces(text, bold)
    assert "".join(piece.text for piece in shown) == text
    for piece in shown:
        assert Path(piece.face.path).parent == FONTS
        glyphs = TTFont(piece.face.path).getBestCmap()
        assert all(ord(letter) in glyphs for letter in piece.text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\U0010fffd", "aU+10FFFD"),  # private use: no font may have it
        ("a\nb", "aU+000Ab"),
        ("a\x1b[2J", "aU+001B[2J"),
        ("\ud800", "U+D800"),
    ],
)
def test_what_no_font_has_is_spelled_out(text, shown):
    assert "".join(piece.text for piece in pieces(text)) == shown
    assert text_width(text, 14.0) == text_width(shown, 14.0)


WITHOUT_FONTCONFIG = """
from pipeline.view.typesetting import pieces
print("".join(piece.text for piece in pieces("\\u0e44手")).encode("ascii", "backslashreplace").decode())
"""


def test_no_fontconfig_is_no_error():
    shown = subprocess.run(
        [sys.executable, "-c", WITHOUT_FONTCONFIG],
        env={**os.environ, "PATH": "/nonexistent", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "U+0E44\\u624b\n"


THAI = """
import os, sys
from pipeline.view.typesetting import load_system_fonts, pieces, text_mask
load_system_fonts()
os.environ["PATH"] = "/nonexistent"  # drawing asks nobody
(piece,) = pieces("\u0e44")
assert text_mask("\u0e44", 14.0).cover.max() > 0.9
sys.stdout.buffer.write(os.fsencode(piece.face.path))
"""


def test_a_font_of_the_system_may_have_any_path_and_a_bad_line_hides_no_other(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9\t1.ttf"
    font = TTFont(FONTS / "DejaVuSans.ttf")
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap[0x0E44] = "A"
    font.save(os.fsdecode(path))
    listed = [b"half a line", b"/x.ttf\tone\te44", b"/x.ttf\t0\tno-number", path + b"\t0\te40-e4f"]
    (tmp_path / "listed").write_bytes(b"\n".join(listed) + b"\n")
    program = tmp_path / "fc-list"
    program.write_text(f"#!/bin/sh\ncat '{tmp_path / 'listed'}'\n")
    program.chmod(0o755)
    shown = subprocess.run(
        [sys.executable, "-c", THAI],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    assert shown.stdout == path


@pytest.mark.parametrize("em_px", [8.7, 14.0, 31.5])
def test_a_mask_holds_all_ink_of_the_text(em_px):
    mask = text_mask("Åjg手", em_px)
    assert mask.cover.shape == mask.rest.shape
    assert np.allclose(mask.cover + mask.rest, 1)
    assert mask.cover.max() > 0.9
    edges = (mask.cover[0], mask.cover[-1], mask.cover[:, 0], mask.cover[:, -1])
    assert all(edge.max() == 0 for edge in edges)


def test_numbers_are_put_together_from_their_digits():
    assert [piece.text for piece in pieces("#120 ms")] == ["#", "1", "2", "0", " ms"]
    widths = {text_width(number, 14.0) for number in ("111", "808", "974")}
    assert len(widths) == 1  # nothing jumps when a number changes


def test_no_text_has_no_width():
    assert text_width("", 14.0) == 0
    assert text_mask("", 14.0).cover.max() == 0


def test_fonts_come_with_their_licences():
    licences = (FONTS / "LICENSES.txt").read_text()
    fonts = sorted(FONTS.glob("*.ttf"))
    assert len(fonts) == 3
    assert all(font.name in licences for font in fonts)
