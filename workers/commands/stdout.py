"""Reserves standard output for data and redirects everything else to standard error."""

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

    File descriptors are swapped, so that output of libraries goes to standard error, too.

    Yields:
        The reserved standard output, in a form that can be passed to a spawned process; None if not reserved.

    Raises:
        ConfigError: Standard output is closed, or requested twice.
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
