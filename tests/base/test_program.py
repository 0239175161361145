"""Messages quote the program as the user typed it, also in workers that it spawns."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.program import PROGRAM

ROOT = Path(__file__).parents[2]
CODE = """#!{python}
import multiprocessing
import sys

def tell():
    from pipeline.base.program import PROGRAM
    print(PROGRAM, flush=True)

if __name__ == "__main__":
    tell()
    worker = multiprocessing.get_context("spawn").Process(target=tell)
    worker.start()
    worker.join()
"""


@pytest.mark.parametrize(
    ("file", "command", "name"),
    [
        ("run_stream.py", [sys.executable, "run_stream.py"], "python run_stream.py"),
        ("a b/run_stream.py", [sys.executable, "a b/run_stream.py"], "python 'a b/run_stream.py'"),
        ("run_stream.py", [sys.executable, "-m", "run_stream"], "python -m run_stream"),
        ("bin/kvq-stream", ["bin/kvq-stream"], "kvq-stream"),
        ("other.py", [sys.executable, "other.py"], "kvq-stream"),
    ],
    ids=["script", "script in a folder", "module", "installed", "something else"],
)
def test_the_program_is_called_as_it_was_started(
    file: str, command: list[str], name: str, tmp_path: Path
) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(CODE.format(python=sys.executable))
    path.chmod(0o755)
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [name, name], "the program, then its worker"


def test_it_does_not_depend_on_how_the_tests_were_started() -> None:
    assert PROGRAM == "kvq-stream"
