"""Replaces zones, lines and rules while the sink runs."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from pipeline.base.config import Config, load_watch
from pipeline.base.errors import ConfigError, UserError
from pipeline.base.files import write_whole
from pipeline.base.known_ground import Ground
from pipeline.base.watch_file import replaces, write_watch
from pipeline.base.watched import Line, View, Watch, Zone
from workers.asking import Asking, Request


class _Replace(Request):
    """A request to apply other zones, lines and rules."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch


class WatchReplacing:
    """Replaces zones, lines and rules; a restarted sink continues with the last ones.

    Args:
        config: The configuration at startup.
        is_restarted: Whether this run had an earlier sink.
        report: Receives a message if the saved file can't be used.

    Attributes:
        watch: The current zones, lines and rules.
        asking: Takes requests for changes.
    """

    def __init__(self, config: Config, is_restarted: bool, report: Callable[[str], None]) -> None:
        self._started_with = self.watch = config.watched()
        self._file = Path(config.watch.file) if config.watch.file else None
        self._own = "" if is_restarted else _beside_file(self._started_with, self._file)
        self._follows = config.watch.follow_camera
        self.asking = Asking()
        if is_restarted and self._file and replaces(self._file, self._started_with):
            self.watch = self._put_before(self._file, report)

    def ask(self, watch: Watch) -> list[str]:
        """Replaces everything and waits for the result.

        Returns:
            Messages: how long the change lasts, and notes.

        Raises:
            UserError: Nothing was changed; the message states why.
        """
        with self.asking.turn():
            self._check_views(watch)
            before = self._write(watch)
            try:
                self.asking.ask(_Replace(watch))
            except UserError as error:
                self._write_back(before, str(error))
                raise
            return [self._lasts(), *self._notes(watch)]

    def why_not_carried(self, places: list[str], *, for_good: bool) -> str:
        """Why moved zones, lines and ground can't be saved; empty if they can.

        Args:
            places: Their names, such as ``zones.drive``.
            for_good: Whether the view outlasts the run; if so, they must, too.
        """
        if not places:
            return ""
        if self._file is None:
            return (
                f"{places[0]} must move with the view, but would move back if the sink restarted: "
                "set watch.file to save it"
            )
        if for_good and (own := sorted(set(places) & set(self._own.split(", ")))):
            return (
                f"{own[0]} is in the configuration file and can't be changed there: move it to {self._file}"
            )
        return ""

    def carry(self, watch: Watch, apply: Callable[[Watch], None]) -> str:
        """Applies and saves zones that moved with a view; called from the sink's thread.

        Returns:
            How long the change lasts, as text.
        """
        apply(watch)
        self.watch = watch
        try:
            self._write(watch)
        except UserError as error:
            return f"until the sink stops: {error}"
        return self._lasts()

    def take(self, apply: Callable[[Watch], None]) -> None:
        """Applies a pending request, if any; called from the sink's thread."""
        request = self.asking.pending(_Replace)
        if request is None or not self.asking.begin(request):
            return
        refusal = "the sink has failed"
        try:
            apply(request.watch)
            self.watch, refusal = request.watch, ""
        finally:
            self.asking.end(request, refusal)

    def _write(self, watch: Watch) -> bytes | None:
        """Writes the file, if one is configured; returns its previous content, or None.

        Raises:
            UserError: The file can't be written.
        """
        if self._file is None:
            return None
        try:
            before = self._file.read_bytes()
        except OSError:  # deleted
            before = None
        write_watch(self._file, watch, self._started_with)
        return before

    def _write_back(self, before: bytes | None, why: str) -> None:
        """Restores the previous content of the file.

        Raises:
            UserError: The file can't be restored.
        """
        try:
            if self._file and before is None:
                self._file.unlink(missing_ok=True)
            elif self._file and before is not None:
                write_whole(self._file, before, sync=True)
        except OSError as error:
            raise UserError(
                f"{why}; {self._file} contains the new settings and can't be restored: {error.strerror}"
            ) from None

    def _put_before(self, file: Path, report: Callable[[str], None]) -> Watch:
        """The zones, lines and rules saved by an earlier sink, if the file is valid."""
        try:
            watch = load_watch(file)
            self._check_views(watch)
        except UserError as error:
            report(f"zones, lines and rules were reset to those at startup: {error}")
            return self._started_with
        return watch

    def _check_views(self, watch: Watch) -> None:
        if watch.views != self._started_with.views:
            raise UserError(
                "views can't be changed while the pipeline runs: inference has loaded their images; "
                "send them unchanged, or change the configuration and restart"
            )

    def _lasts(self) -> str:
        if self._file is None:
            return "until the sink stops: watch.file is not set"
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
                    "in streams without zones, lines, ground or views at startup, zones do not follow the "
                    "camera until the next start"
                ]
        return []


def with_watch(config: Config, watch: Watch) -> Config:
    """The configuration with other zones, lines, rules and views."""
    return msgspec.structs.replace(config, **msgspec.structs.asdict(watch))


def _beside_file(watch: Watch, file: Path | None) -> str:
    """Names of what the configuration itself defines in addition to the file; empty if nothing."""
    if file is None:
        return ""
    try:
        filed = load_watch(file)
    except ConfigError:  # it has been changed since the start
        return ""
    return ", ".join(
        f"{kind}.{name}"
        for kind in Watch.__struct_fields__
        for name, one in getattr(watch, kind).items()
        if getattr(filed, kind).get(name) != one
    )
