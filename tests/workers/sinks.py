"""Sinks that were not opened: for what belongs to one, without its sockets."""

from typing import Any

from pipeline.base.config import load_config
from workers.sink import SinkWorker


def sink(*settings: str, **options: Any) -> SinkWorker:
    """One that shows nothing and keeps nothing but what the settings ask for."""
    nothing = ("store.file=", "evidence.folder=", "run.output_dir=", "sink.web=false")
    return SinkWorker(load_config(None, [*nothing, *settings]), "sink", **options)
