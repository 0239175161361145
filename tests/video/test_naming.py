import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.text import StreamId
from pipeline.video.naming import default_stream_id


@pytest.mark.parametrize(
    ("text", "taken", "name"),
    [
        ("demo", (), "demo"),
        ("demo", ("demo", "demo-2"), "demo-3"),
        ("0", (), "cam0"),
        ("/dev/video2", (), "cam2"),
        ("films/my clip (1).mp4", (), "my-clip-1"),
        ("rtsp://user:p@ss@door.home:554/live?x=1", (), "door-home"),
        ("udp://@:5000", (), "stream"),
        ("rtsp:/admin:secret@host", (), "host"),
        ("rtsp:/admin:my secret@host:554/live", (), "host"),
        ("rtsp//admin:secret@host/live", (), "host"),
        ("admin:secret@host", (), "host"),
        ("admin:secret@rtsp://host/x", (), "host"),
        ("rtsp://joe@mail.com:secret@host/x", (), "host"),
        ("rtsp:/host/x?password=secret", (), "x-password"),
        ("rtsp://host/x?from=http://other", (), "host"),
        ("films/joe@home.mp4", (), "joe-home"),
        ("films/жест 手.mp4", (), "жест-手"),
        ("हिन्दी.mp4", (), "हिन्दी"),
        ("Tu\u0308r.mp4", (), "T\u00fcr"),
        ("rtsp://камера.дом/live", (), "камера-дом"),
        ("films/clip\udcff.mp4", (), "clip"),
        ("films/a\x1b[2J\u202eb.mp4", (), "a-2J-b"),
        ("films/??.mp4", (), "stream"),
        ("x" * 100 + ".mp4", (), "x" * 48),
    ],
)
def test_default_stream_id(text: str, taken: tuple[str, ...], name: str) -> None:
    assert default_stream_id(text, taken) == name


@given(text=st.text(max_size=200), taken=st.sets(st.sampled_from(["stream", "a", "A"])))
def test_whatever_the_source_the_name_is_one_that_a_stream_may_have(text: str, taken: set[str]) -> None:
    name = default_stream_id(text.replace("\0", ""), taken)
    assert msgspec.convert(name, StreamId) == name
    assert name not in taken
    assert len(f"{name}.part99.mp4".encode()) <= 255
