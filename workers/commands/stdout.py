"""Reserves standard output for data; everything else goes to standard error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from pipeline.base.errors import ConfigError
from pipeline.base.line_file import STDOUT


@contextmanager
def reserved_stdout(*files: str) -> Iterator[Connection | None]:
    """Reserves standard output if one of ``files`` is ``-``.

    Descriptors are exchanged, so that what libraries print goes to standard error, too.

    Yields:
        The reserved standard output, in the form that can be handed to a spawned process; else None.

    Raises:
        ConfigError: Standard output is closed, or wanted twice.
    """
    if files.count(STDOUT) > 1:
        raise ConfigError("predictions and events can't both go to standard output: give one of them a file")
    if STDOUT not in files:
        yield None
        return
    if sys.stdout is None:
        raise ConfigError("standard output is closed: give a file instead of -")
    sys.stdout.flush()
    with Connection(os.dup(1), readable=False) as reserved:
        os.dup2(2, 1)
        try:
            yield reserved
        finally:
            sys.stdout.flush()
            os.dup2(reserved.fileno(), 1)
