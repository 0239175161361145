"""Writes the file of ``--report``, after checking before the run that it can be written."""

import json
import tempfile
from pathlib import Path
from typing import Any

from pipeline.base.errors import ConfigError
from pipeline.base.files import write_whole
from pipeline.base.line_file import missing_folder


def check_writable(file: Path | None) -> Path | None:
    """Checks before the run that the report can be written; an existing file is not changed.

    Returns:
        The outermost folder that was created for it, if any.

    Raises:
        ConfigError: The report can't be written.
    """
    if file is None:
        return None
    made_folder = missing_folder(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and not file.is_fifo():  # a pipe would wait for its reader
            with file.open("a"):
                pass
        if not _is_special(file):
            with tempfile.TemporaryFile(dir=file.resolve().parent):
                pass
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"{file}: can't write the report: its folder is a file") from error
    except OSError as error:
        raise ConfigError(f"{file}: can't write the report: {error.strerror}") from error
    return made_folder


def write_report(report: dict[str, Any], file: Path | None) -> list[str]:
    """Writes the report atomically if a file was given; returns errors, such as a full disk."""
    if file is None:
        return []
    text = json.dumps(report, indent=2) + "\n"
    try:
        if _is_special(file):
            file.write_text(text, encoding="utf-8")
        else:
            write_whole(file.resolve(), text)
    except OSError as error:
        return [f"{file}: can't write the report: {error.strerror}"]
    return []


def _is_special(file: Path) -> bool:
    """Whether it is a pipe or device such as /dev/stdout, which must not be replaced by a file."""
    return file.exists() and not file.is_file()
