from pathlib import Path

import pytest

from pipeline.video.open import open_source
from pipeline.video.source import SourceError
from tests.video.clips import options, write_video


def test_opening_twice_and_closing_twice_are_harmless(tmp_path: Path) -> None:
    for text in ("demo", str(write_video(tmp_path / "a.mp4"))):
        source = open_source(text, options())
        source.open()
        source.open()
        assert source.read() is not None
        source.close()
        source.close()
        with pytest.raises(SourceError, match="is not open"):
            source.read()
