"""Checks configured files and folders before anything starts."""

from pipeline.base.config import Config
from pipeline.video.open import open_source
from pipeline.video.source import Source, SourceError, SourceOptions
from workers.base import WorkerError


def live_streams(config: Config) -> list[str]:
    """The configured streams that are cameras, whose frames do not wait for anybody."""
    options = SourceOptions.from_config(config.capture)
    return [
        stream.id
        for stream in config.streams
        if stream.policy != "every" and open_source(stream.source, options).live
    ]


def check_sources(config: Config) -> None:
    """Opens and closes each file and folder; cameras and addresses are left to the capture worker.

    Raises:
        WorkerError: One can't be opened, or its text is a URL that can't be understood.
    """
    options = SourceOptions.from_config(config.capture)
    for stream in config.streams:
        try:
            check_source(stream.source, options)
        except SourceError as error:
            raise WorkerError(str(error)) from error


def check_source(text: str, options: SourceOptions) -> Source:
    """A source, not opened; a file or folder was opened and closed, all else may yet fail.

    Raises:
        SourceError: It can't be opened, or its text is a URL that can't be understood.
    """
    source = open_source(text, options)
    if not source.live and text != "demo" and "://" not in text:
        with source:
            pass
    return source
