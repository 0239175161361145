"""Checks configured files and folders before startup."""

from pipeline.base.config import Config
from pipeline.video.open import open_source
from pipeline.video.source import Source, SourceError, SourceOptions
from workers.base import WorkerError


def live_streams(config: Config) -> list[str]:
    """The configured streams that are cameras, whose frames are not held back."""
    options = SourceOptions.from_config(config.capture)
    return [
        stream.id
        for stream in config.streams
        if stream.policy != "every" and open_source(stream.source, options).live
    ]


def check_sources(config: Config) -> None:
    """Opens and closes each file and folder; cameras and URLs are left to the capture worker.

    Raises:
        WorkerError: A source can't be opened, or is not a valid URL.
    """
    options = SourceOptions.from_config(config.capture)
    for stream in config.streams:
        try:
            check_source(stream.source, options)
        except SourceError as error:
            raise WorkerError(str(error)) from error


def check_source(text: str, options: SourceOptions) -> Source:
    """Creates a source; a file or folder is opened and closed once, other sources are not tested.

    Raises:
        SourceError: The source can't be opened, or is not a valid URL.
    """
    source = open_source(text, options)
    if not source.live and text != "demo" and "://" not in text:
        with source:
            pass
    return source
