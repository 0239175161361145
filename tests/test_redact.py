import pytest

from pipeline.redact import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://me:secret@cam/live", "rtsp://me:***@cam/live"),
        ("open rtsp://me:se:cr@et@cam:554/x failed", "open rtsp://me:***@cam:554/x failed"),
        ("rtsp://me:se/cret@cam/x", "rtsp://me:***@cam/x"),
        ("rtsp://:secret@cam/x", "rtsp://:***@cam/x"),
        ("http://cam/video?user=me&pwd=secret&x=1", "http://cam/video?user=me&pwd=***&x=1"),
        ("rtsp://cam:554/live", "rtsp://cam:554/live"),
        ("a@b: no URL", "a@b: no URL"),
    ],
)
def test_passwords_go_and_the_rest_stays(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_two_urls_in_one_line() -> None:
    line = redact("rtsp://a:one@x/1 and rtsp://b:two@y/2")
    assert line == "rtsp://a:***@x/1 and rtsp://b:***@y/2"
