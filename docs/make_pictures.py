"""Makes the pictures of the documents, from real runs on this machine.

``python docs/make_pictures.py --clip vtest.avi`` makes all of them, ``python docs/make_pictures.py page
--clip vtest.avi`` only one. ``vtest.avi`` is in the Debian package ``opencv-doc``. Use an idle machine.

Not made here: ``hands.jpg`` (its clips must not be redistributed), ``flame_*.svg`` (``benchmarks.flames``),
and plots of benchmarks, which are written by the command next to each of them.
"""

import argparse
import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Picture
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, from anywhere

from pipeline.base.config import load_config
from pipeline.view.terminal import render
from workers.collector import Collector
from workers.rundir import newest_live_folder, place_endpoints

IMAGES = Path(__file__).parent / "images"
WIDTH_PX = 640
GAP_PX = 8
TERMINAL = (112, 26)
PORT = 8642

STREET = (
    *("--pace", "--set", "inference.longer_side_px=384", "--set", "inference.precision=int8"),
    *("--zone", "road=0.40,0.40,0.98,0.36,0.98,0.72,0.44,0.66", "--line", "path=0.46,0.20,0.56,0.80"),
)
STREET_S = (16.5, 24.5)
"""Beginning and end of the shown part, in seconds: people walk through the zone and across the line."""
STREET_FPS = 8
DEMO_S = (7.0, 13.0)
TERMINAL_S = 25.0
PAGE_S = 40.0


def street(clip: Path, folder: Path) -> None:
    """``street.webp``: a fixed camera with objects, a zone, a line and their events."""
    run(folder, "--source", str(clip), *STREET, "--no-web", "--seconds", str(STREET_S[1] + 10))
    first, last = STREET_S
    times = np.arange(first, last, 1 / STREET_FPS)
    frames = [Picture.fromarray(frame_at(video(folder), time_s)[..., ::-1]) for time_s in times]
    frames[0].save(
        IMAGES / "street.webp",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / STREET_FPS),
        loop=0,
        quality=60,
        method=6,
    )


def overlay(clip: Path, folder: Path) -> None:
    """``overlay.jpg``: two frames of the demo, side by side."""
    run(folder, "--no-web")
    tiles = [frame_at(video(folder), time_s) for time_s in DEMO_S]
    gap = np.full((tiles[0].shape[0], GAP_PX, 3), 255, np.uint8)
    cv2.imwrite(
        str(IMAGES / "overlay.jpg"), np.hstack([tiles[0], gap, tiles[1]]), [cv2.IMWRITE_JPEG_QUALITY, 88]
    )


def terminal(clip: Path, folder: Path) -> None:
    """``terminal.svg``: the live table while the demo runs."""
    with running(folder, "--no-web"):
        wait_for(has_workers)
        save_terminal(IMAGES / "terminal.svg", TERMINAL_S)


def page(clip: Path, folder: Path) -> None:
    """``page.webp`` and ``event.webp``: the web page with the street clip, and its view of one event."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise ValueError("chromium is not installed: apt-get install chromium")
    options = ("--source", str(clip), *STREET, "--seconds", str(PAGE_S + 30))
    with running(folder, *options), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        shown = browser.new_page(viewport={"width": 1180, "height": 720})
        wait_for(is_served)
        shown.goto(f"http://127.0.0.1:{PORT}/")
        shown.locator("#events li").first.wait_for(timeout=1000 * PAGE_S)
        time.sleep(10)  # until the page lists several events
        save_screenshot(shown.screenshot(), "page.webp")
        shown.locator("#events li button").first.click()
        shown.locator("dialog#event[open]").wait_for()
        time.sleep(2)  # until its images are loaded
        save_screenshot(shown.locator("dialog#event").screenshot(), "event.webp")
        browser.close()


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    maker.__name__: maker for maker in (street, overlay, terminal, page)
}


def save_screenshot(png: bytes, name: str) -> None:
    """Writes a PNG screenshot in the much smaller format of the suffix of ``name``."""
    Picture.open(io.BytesIO(png)).convert("RGB").save(IMAGES / name, quality=85, method=6)


def run(folder: Path, *options: str) -> None:
    """Runs a pipeline to its end, with its outputs in ``folder``.

    Raises:
        ValueError: The run failed.
    """
    with running(folder, *options) as process:
        if process.wait() != 0:
            raise ValueError("the run failed; see its messages above")


@contextmanager
def running(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a pipeline during the ``with`` block and stops it gracefully at the end."""
    program = Path(__file__).parents[1] / "run_stream.py"
    fixed = ("--headless", "--set", f"run.output_dir={folder}")
    process = subprocess.Popen([sys.executable, program, *options, *fixed], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def video(folder: Path) -> Path:
    """The recorded overlay of the run in ``folder``."""
    return next(folder.glob("*/*.mp4"))


def frame_at(recording: Path, time_s: float) -> npt.NDArray[np.uint8]:
    """The frame of a recording at a time, ``WIDTH_PX`` wide, BGR.

    Raises:
        ValueError: The recording has no frame at this time.
    """
    capture = cv2.VideoCapture(str(recording))
    capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * time_s)
    found, image = capture.read()
    capture.release()
    if not found:
        raise ValueError(f"{recording} has no frame at {time_s:g} s")
    height = round(image.shape[0] * WIDTH_PX / image.shape[1])
    smooth = cv2.INTER_AREA if image.shape[1] >= WIDTH_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (WIDTH_PX, height), interpolation=smooth), np.uint8)


def save_terminal(out: Path, seconds: float) -> None:
    """Follows the newest run of this machine for ``seconds``, then saves its terminal view as SVG.

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
        raise ValueError("no pipeline is running on this machine: start python run_stream.py first")
    view.events[:] = events[-8:]
    console = Console(record=True, width=TERMINAL[0], height=TERMINAL[1], file=io.StringIO())
    console.print(render(view))
    console.save_svg(str(out), title="python run_stream.py")


def has_workers() -> bool:
    """Whether the newest run of this machine reports statistics."""
    with contextlib.closing(Collector(place_endpoints(load_config(), newest_live_folder()))) as collector:
        collector.poll(1.0)
        return bool(collector.sessions)


def is_served() -> bool:
    """Whether the web page of the run responds."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=1).close()
    except (urllib.error.URLError, TimeoutError):
        return False
    return True


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds.

    Raises:
        ValueError: The condition does not hold within a minute.
    """
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise ValueError("the run has not started within a minute")
        time.sleep(0.5)


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes the requested pictures, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"pictures to make: {', '.join(MAKERS)}; default: all")
    parser.add_argument("--clip", type=Path, required=True, help="a video from a fixed camera")
    options = parser.parse_args(arguments)
    for name in options.names or MAKERS:
        if name not in MAKERS:
            parser.error(f"{name}: unknown picture; expected one of: {', '.join(MAKERS)}")
        with tempfile.TemporaryDirectory() as folder:
            MAKERS[name](options.clip, Path(folder))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
