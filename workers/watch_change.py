"""Zones, lines and rules that are replaced while the sink runs: any thread asks, its own thread does it."""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from pipeline.base.config import Config, load_watch
from pipeline.base.errors import ConfigError, UserError
from pipeline.base.known_ground import Ground
from pipeline.base.watch_file import replaces, write_watch
from pipeline.base.watched import Line, View, Watch, Zone

_PATIENCE_S = 10.0


class WatchChange:
    """Takes the next zones, lines and rules; a sink that was restarted goes on with those it was given.

    Args:
        config: What the pipeline was started with.
        is_restarted: There was a sink of this run before.

    Attributes:
        watch: What applies now.
    """

    def __init__(self, config: Config, is_restarted: bool) -> None:
        self._started_with = self.watch = config.watched()
        self._file = Path(config.watch.file) if config.watch.file else None
        self._own = "" if is_restarted else _beside_file(self._started_with, self._file)
        self._follows = config.watch.follow_camera
        self._turn = threading.Lock()
        self._asked: Watch | None = None
        self._done = threading.Event()
        if is_restarted and self._file and replaces(self._file, self._started_with):
            self.watch = load_watch(self._file)

    def ask(self, watch: Watch) -> list[str]:
        """Has everything replaced; waits until that is done.

        Returns:
            How long it lasts, and what else there is to know, in words.

        Raises:
            UserError: Nothing was changed, and why.
        """
        with self._turn:
            if watch.views != self._started_with.views:
                raise UserError(
                    "views can't be changed while the pipeline runs: inference has looked at their pictures; "
                    "send them as they are, or change the configuration and start again"
                )
            if self._file:
                write_watch(self._file, watch, self._started_with)
            self._done.clear()
            self._asked = watch
            if not self._done.wait(_PATIENCE_S):
                self._asked = None
                kept = f"; it is kept in {self._file}" if self._file else ""
                raise UserError(f"the sink does not answer{kept}")
            return [self._lasts(), *self._notes(watch)]

    def take(self, apply: Callable[[Watch], None]) -> None:
        """Applies what was asked for, if anything; called by the sink's thread."""
        asked, self._asked = self._asked, None
        if asked is not None:
            self.watch = asked
            apply(asked)
            self._done.set()

    def _lasts(self) -> str:
        if self._file is None:
            return "until the sink stops: watch.file names no file"
        if self._own:
            return f"kept in {self._file}; at the next start the configuration adds its own: {self._own}"
        return f"kept in {self._file}"

    def _notes(self, watch: Watch) -> list[str]:
        if self._follows and (watch.zones or watch.lines):
            at_start = self._started_with
            before: list[Zone | Line | View | Ground] = [
                *at_start.zones.values(), *at_start.lines.values(),
                *at_start.views.values(), *at_start.ground.values(),
            ]  # fmt: skip
            everywhere = any(not place.streams for place in before)
            followed = {name for place in before for name in place.streams}
            now = [*watch.zones.values(), *watch.lines.values()]
            if not everywhere and any(not set(place.streams or ["*"]) <= followed for place in now):
                return [
                    "streams in which nothing was watched at the start are not followed when their camera "
                    "moves, until the next start"
                ]
        return []


def with_watch(config: Config, watch: Watch) -> Config:
    """The configuration with other zones, lines, rules and views."""
    return msgspec.structs.replace(config, **msgspec.structs.asdict(watch))


def _beside_file(watch: Watch, file: Path | None) -> str:
    """What the configuration itself has, beside the file, by name; empty if nothing."""
    if file is None:
        return ""
    try:
        filed = load_watch(file)
    except ConfigError:  # it was changed since the start
        return ""
    return ", ".join(
        f"{kind}.{name}"
        for kind in Watch.__struct_fields__
        for name, one in getattr(watch, kind).items()
        if getattr(filed, kind).get(name) != one
    )
