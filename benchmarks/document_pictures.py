"""Images for the documents: frames of recorded overlays, and the live terminal.

``python -m benchmarks.document_pictures sheet OUT.jpg outputs/NOW/vtest.mp4@12.5 outputs/NOW/demo.mp4@20``
``python -m benchmarks.document_pictures terminal OUT.svg SECONDS`` while a pipeline runs on this machine
"""

import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from pipeline.base.config import load_config
from pipeline.base.frame import Image
from pipeline.view.terminal import render
from workers.collector import Collector
from workers.rundir import newest_live_folder, place_endpoints

_COLUMNS, _WIDTH_PX, _GAP_PX = 2, 640, 8
_QUALITY = 88
_TERMINAL = (112, 26)


def make_sheet(out: Path, frames: Sequence[str], columns: int = _COLUMNS) -> None:
    """Writes frames of videos side by side, ``columns`` in a row.

    Args:
        out: The picture.
        frames: Each ``VIDEO@SECONDS``.
        columns: Frames in a row.

    Raises:
        ValueError: A video has no such frame.
    """
    tiles = [_tile(*one.rpartition("@")[::2]) for one in frames]
    height = max(tile.shape[0] for tile in tiles)
    rows = [tiles[first : first + columns] for first in range(0, len(tiles), columns)]
    width = max(map(len, rows)) * (_WIDTH_PX + _GAP_PX) - _GAP_PX
    sheet = np.full((len(rows) * (height + _GAP_PX) - _GAP_PX, width, 3), 255, np.uint8)
    for row, tiles_of_row in enumerate(rows):
        for column, tile in enumerate(tiles_of_row):
            top, left = row * (height + _GAP_PX), column * (_WIDTH_PX + _GAP_PX)
            sheet[top : top + tile.shape[0], left : left + _WIDTH_PX] = tile
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if out.suffix == ".jpg" else []
    cv2.imwrite(str(out), sheet, quality)


def save_terminal(out: Path, seconds: float) -> None:
    """Watches the newest run of this machine for a while, and writes what its terminal shows at the end.

    Raises:
        ValueError: No worker has reported.
    """
    collector = Collector(place_endpoints(load_config(), newest_live_folder()))
    events, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        events += collector.poll(0.1)
    view = collector.view("demo tour")
    collector.close()
    if not view.sessions:
        raise ValueError("no pipeline runs on this machine: start python run_stream.py first")
    view.events[:] = events[-8:]
    console = Console(record=True, width=_TERMINAL[0], height=_TERMINAL[1], file=io.StringIO())
    console.print(render(view))
    console.save_svg(str(out), title="python run_stream.py")


def _tile(video: str, seconds: str) -> Image:
    capture = cv2.VideoCapture(video)
    capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * float(seconds))
    found, image = capture.read()
    capture.release()
    if not found:
        raise ValueError(f"{video} has no frame at {seconds} s")
    height = round(image.shape[0] * _WIDTH_PX / image.shape[1])
    smooth = cv2.INTER_AREA if image.shape[1] >= _WIDTH_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (_WIDTH_PX, height), interpolation=smooth), np.uint8)


if __name__ == "__main__":
    try:
        if sys.argv[1] == "sheet":
            make_sheet(Path(sys.argv[2]), sys.argv[3:])
        else:
            save_terminal(Path(sys.argv[2]), float(sys.argv[3]))
    except ValueError as error:
        sys.exit(f"error: {error}")
