"""Text from elsewhere shows what it says, and nothing else."""

from pathlib import Path

import msgspec
import pytest

from pipeline.base.text import StreamId, printable

is_stream_id = msgspec.json.Decoder(StreamId)


@pytest.mark.parametrize(
    "text",
    [
        "door",
        "жест 手",
        "Türöffner",
        "کتاب\u200cها",
        "👩\u200d👧",
        "हिन्दी",
        "a.b",
        "C:\\x",
        "x" * 64,
        "手" * 64,
    ],
)
def test_any_script_stays_as_it_is_and_may_name_a_stream(text: str) -> None:
    assert printable(text) == text
    assert is_stream_id.decode(msgspec.json.encode(text)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", " [2Jgone"),
        ("one\ntwo\r\nthree", "one two  three"),
        ("\x9b31m", " 31m"),
        ("user\u202egnp.exe", "user gnp.exe"),
        ("a\u2028b\u200bc\ufeffd", "a b c d"),
        ("bell\x07 nul\x00 del\x7f", "bell  nul  del "),
        ("half \udcff", "half  "),
    ],
)
def test_what_would_upset_a_terminal_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 65,
        "𠮷" * 49,
        "a" + "手𠮷" * 31 + "𠮷" * 18,
        "a/b",
        "..",
        ".hidden",
        " a",
        "a ",
        "a\n",
        "a\tb",
        "\x1b[2J",
        "a\u202eb",
    ],
)
def test_what_can_not_name_a_stream(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        is_stream_id.decode(msgspec.json.encode(text))


@pytest.mark.parametrize("text", ["x" * 64, "手" * 64, "手" * 16 + "𠮷" * 48, "𠮷手" * 16 + "𠮷" * 32])
def test_every_name_of_a_stream_can_name_its_files(text: str, tmp_path: Path) -> None:
    assert is_stream_id.decode(msgspec.json.encode(text)) == text
    (tmp_path / f"{text}.part99.mp4").write_bytes(b"")
