"""The file of ``--report``: checked before the run, written at its end."""

import json
from pathlib import Path
from typing import Any

from pipeline.base.errors import ConfigError
from pipeline.view.jsonl import missing_folder


def check_writable(file: Path | None) -> Path | None:
    """A report that can't be written is an error to hear of before the run, not after it.

    Returns:
        The outermost folder that was made for it, if any.

    Raises:
        ConfigError: It can't be written there.
    """
    if file is None:
        return None
    made_folder, is_new = missing_folder(file), not file.exists()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a"):
            pass
        if is_new:
            file.unlink()  # a run that fails leaves no empty one
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"{file}: can't write the report there: its folder is a file") from error
    except OSError as error:
        raise ConfigError(f"{file}: can't write the report there: {error.strerror}") from error
    return made_folder


def write_report(report: dict[str, Any], file: Path | None) -> list[str]:
    """Writes the report, if a file was given; returns what went wrong: by now the disk may be full."""
    if file is not None:
        try:
            file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            return [f"{file}: the report can't be written: {error.strerror}"]
    return []
