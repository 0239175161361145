"""Fixtures for every room."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path: those that pytest makes can be too long for the path of a socket."""
    with tempfile.TemporaryDirectory(prefix="kvq-") as folder:
        yield Path(folder)
