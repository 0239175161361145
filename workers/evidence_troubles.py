"""Classifies why evidence was lost: the disk, a bug or a slow machine."""

import threading
import traceback
from pathlib import Path

import psutil

from pipeline.base.errors import OutputError
from pipeline.base.redact import reason


def why_lost(error: Exception) -> str:
    """The reason of an error that the user can fix; for a bug, also its location."""
    if isinstance(error, OSError | OutputError):
        return reason(error)
    *_, where = traceback.extract_tb(error.__traceback__)
    place = f"{Path(where.filename).name}:{where.lineno}"
    return f"please report this bug: {type(error).__name__} in {place}: {reason(error)}"


def worked_s(thread: threading.Thread) -> float:
    """CPU time of a thread of this process in seconds; 0.0 if it has ended."""
    threads = psutil.Process().threads()
    return sum(one.user_time + one.system_time for one in threads if one.id == thread.native_id)
