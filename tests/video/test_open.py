import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.video.open import open_source
from pipeline.video.source import SourceError
from tests.video.clips import options


@pytest.mark.parametrize(
    ("text", "kind", "live"),
    [
        ("demo", "DemoSource", False),
        ("0", "CameraSource", True),
        ("/dev/video3", "CameraSource", True),
        ("rtsp://door/live", "StreamSource", True),
        ("http://door:8080/mjpeg", "StreamSource", True),
        ("udp://@:5000", "StreamSource", True),
        ("https://host/films/clip.MP4?x=1", "FileSource", False),
        ("missing.mp4", "FileSource", False),
    ],
)
def test_text_decides_the_source(text: str, kind: str, live: bool) -> None:
    source = open_source(text, options())
    assert (type(source).__name__, source.live) == (kind, live)


def test_folder_is_a_source_of_images(tmp_path: Path) -> None:
    assert type(open_source(str(tmp_path), options())).__name__ == "ImageFolderSource"


def test_a_webcam_needs_no_ffmpeg_and_nothing_needs_torch() -> None:
    script = (
        "import sys; from pipeline.video.open import open_source;"
        "from pipeline.video.source import SourceOptions;"
        "open_source('0', SourceOptions(0, 0, 0.0, 25.0, 'tcp', 1.0, 1.0));"
        "import pipeline.video.reader; assert 'av' not in sys.modules;"
        "import pipeline.video.video_file, pipeline.video.demo; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rstp://host/x", "rstp:// is not supported; use one of rtsp://"),
        ("rtsp:///x", "the URL has no host"),
        ("rtsp://host:99999/x", "not a valid URL"),
        ("rtsp://user:se/cret@host/x", "/ is %2F"),
        ("rtsp://host/a b", "write %20"),
        ("admin:hunter2@rtsp://host/x", "the text before :// is not supported"),
    ],
)
def test_bad_url_says_what_to_do(text: str, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(text, options())
    assert caught.value.kind == "bad_url"
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://u:hunter2@127.0.0.1:1/x",
        "rtsp:/u:hunter2@host/x",
        "u:hunter2@host",
        "rtsp://u:hunter2@h:x/",
        "rtsp://admin:my hunter2@host/x",
        "rtsp://admin:hunter2 is mine@host/x",
        "rtsp://joe@mail.com:hunter2@127.0.0.1:9/x",
        "rtsp:/joe@mail.com:my hunter2@host/x",
        "admin:hunter2@rtsp://host/x",
        "admin:/hunter2@host",
        "rtsp//u:hunter2@host/x",
        "rtsp:///u:hunter2@host/x",
        "rtsp://u:9/hunter2@host/x",
        "rtsp:/host/x?user=joe&password=my hunter2",
    ],
)
def test_password_is_never_shown(text: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(text, options()).open()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
