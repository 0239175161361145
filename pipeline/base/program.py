"""The program's name as the user started it, for messages and help that quote a command to type."""

import shlex
import sys
from pathlib import Path

INSTALLED = "kvq-stream"
"""The installed command; the default if the program was started in another way, for example by Ray."""


def _as_started() -> str:
    """How the user started this process or, in a spawned worker, its supervisor."""
    started = Path(sys.argv[0] if sys.argv else "")
    if started.name != "run_stream.py":
        return INSTALLED
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == "run_stream":
        return "python -m run_stream"
    return f"python {shlex.quote(str(started))}"


PROGRAM = _as_started()
"""``kvq-stream``, ``python run_stream.py`` (with its folder if given) or ``python -m run_stream``."""
