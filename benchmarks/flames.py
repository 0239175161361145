"""Flame graphs of workers under full load: ``python -m benchmarks.flames FOLDER`` (needs py-spy).

The pipeline plays a 640x480 video at 150 fps, as in ``bench end-to-end``, and py-spy samples capture and then
inference, including native code. The width of a box is its share of the samples over all busy threads.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.end_to_end import make_films

_ROOT = Path(__file__).parents[1]
_ROLES = ("capture", "inference")
_START_S = 120.0
_WARM_UP_S = 4.0
_SAMPLES_PER_S = 50


def record(folder: Path, seconds: int = 20) -> None:
    """Writes ``flame_capture.svg`` and ``flame_inference.svg``, sampled for ``seconds`` each.

    Raises:
        ValueError: py-spy is missing or lacks permission, or the workers did not start.
    """
    spy = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if spy is None:
        raise ValueError("py-spy is not installed: pip install py-spy")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kvq-") as place:
        film = make_films(Path(place), 60.0)[150]
        source = f"streams=[{{id='camera', source='{film}', policy='newest'}}]"
        outputs = ("--set", f"run.output_dir={place}/videos", "--set", "sink.web_port=0")
        command = [sys.executable, str(_ROOT / "run_stream.py"), "--headless", "--set", source, *outputs]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as pipeline:
            try:
                workers = _workers(spy, pipeline)
                time.sleep(_WARM_UP_S)
                for role in _ROLES:
                    _spy(spy, workers[role], role, folder / f"flame_{role}.svg", seconds)
            finally:
                pipeline.terminate()


def _workers(spy: str, pipeline: "subprocess.Popen[bytes]") -> dict[str, int]:
    """Process ids of the workers by role, as soon as all are running."""
    deadline, refusal = time.monotonic() + _START_S, ""
    while time.monotonic() < deadline:
        if pipeline.poll() is not None:
            raise ValueError("the pipeline ended immediately: see its output above")
        found: dict[str, int] = {}
        for child in psutil.Process(pipeline.pid).children(recursive=True):
            dump = subprocess.run([spy, "dump", "--pid", str(child.pid)], capture_output=True, text=True)
            found |= {role: child.pid for role in _ROLES if f"tick (workers/{role}.py" in dump.stdout}
            refusal = dump.stderr.strip() or refusal
        if len(found) == len(_ROLES):
            return found
        time.sleep(0.5)
    raise ValueError(f"the workers did not start; last message of py-spy: {refusal or 'none'}")


def _spy(spy: str, pid: int, role: str, picture: Path, seconds: int) -> None:
    options = (
        "--native",
        "--function",
        "--rate",
        str(_SAMPLES_PER_S),
        "--duration",
        str(seconds),
        "--pid",
        str(pid),
    )
    command = [spy, "record", *options, "--output", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"py-spy can't record the {role} worker: {done.stderr.strip()}")
    drawn = picture.read_text("utf-8").replace(" ".join(command), f"{role} worker, 640x480, at the ceiling")
    picture.write_text(drawn, "utf-8")


if __name__ == "__main__":
    try:
        record(Path(sys.argv[1]))
    except ValueError as error:
        sys.exit(f"error: {error}")
