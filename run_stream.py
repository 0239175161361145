"""Entry point of KVQ Stream: ``python run_stream.py --help`` lists its commands."""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from workers import exit_codes

_FOR_CAPTURE = ("av", "cv2", "filelock", "msgspec", "numpy", "psutil", "rich", "simplejpeg", "typer", "zmq")
"""Modules of the packages in requirements-edge.txt, with which capture and the monitor run."""


def main() -> None:
    """Runs the command line; a user error becomes one readable line and exit code 2."""
    # OpenBLAS reads this when NumPy is loaded, and workers inherit it. For their small matrix products, a
    # second thread costs five times what it gains and takes a core from the model.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Spawned workers import this module again, so modules that only the command line needs are imported here.
    try:
        from pipeline.base.errors import UserError
        from pipeline.base.program import PROGRAM
        from pipeline.base.redact import redact
        from workers.commands.app import app
    except ModuleNotFoundError as error:
        print(_missing(error), file=sys.stderr)
        sys.exit(exit_codes.USER_ERROR)
    from workers.output import fill_closed_descriptors

    fill_closed_descriptors()
    terminated = False

    def terminate(number: int, frame: FrameType | None) -> None:
        """Exits as on Ctrl-C, so that resources are released; a second SIGTERM kills the process."""
        nonlocal terminated
        terminated = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.exit(exit_codes.TERMINATED)

    signal.signal(signal.SIGTERM, terminate)  # workers and the supervisor install their own
    try:
        app(prog_name=PROGRAM)
    except Exception as error:
        if terminated:  # a library may have replaced SystemExit
            sys.exit(exit_codes.TERMINATED)
        if isinstance(error, UserError):
            print(f"error: {redact(str(error))}", file=sys.stderr)
        elif isinstance(error, ModuleNotFoundError):  # an edge device has only capture's packages
            print(_missing(error), file=sys.stderr)
        else:
            raise
        sys.exit(exit_codes.USER_ERROR)
    except KeyboardInterrupt:
        sys.exit(exit_codes.INTERRUPTED)


def _missing(error: ModuleNotFoundError) -> str:
    """One line for a package that is not installed.

    Raises:
        ModuleNotFoundError: The module is part of this project, which is a bug.
    """
    name = (error.name or "").partition(".")[0]
    if name in ("", "benchmarks", "configs", "pipeline", "workers"):
        raise error
    is_checkout = Path(__file__).with_name("pyproject.toml").exists()
    command = "pip install -e ." if is_checkout else "pip install kvq-stream"
    if name not in _FOR_CAPTURE and find_spec("torch") is None:
        return (
            f"error: this is a capture-only installation, without {name}; "
            f"this command needs the full one: {command}"
        )
    return f"error: the package {name} is not installed: {command}"


if __name__ == "__main__":
    main()
