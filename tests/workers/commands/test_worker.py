"""Which packages one worker needs."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULES = {"opencv-python": "cv2", "opencv-python-headless": "cv2", "pyzmq": "zmq", "pillow": "PIL"}
RUN = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
import run_stream
sys.argv[1:] = ["capture", "--source", "no.mp4"]
run_stream.main()
"""


def modules(requirements: list[str]) -> set[str]:
    names = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() for line in requirements if line[0].isalpha()}
    return {MODULES.get(name, name) for name in names}


def test_capture_needs_no_more_than_the_requirements_of_an_edge_box() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    edge = modules((ROOT / "requirements-edge.txt").read_text("utf-8").splitlines())
    absent = modules(project["dependencies"]) - edge
    assert {"torch", "safetensors", "starlette"} <= absent
    command = [sys.executable, "-c", RUN, ",".join(absent)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "error: no.mp4: no such file or folder; check the path\n")
