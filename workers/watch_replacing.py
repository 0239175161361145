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
    """These zones, lines and rules are to apply."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch


class WatchReplacing:
    """Takes the next zones, lines and rules; a sink that was restarted goes on with those it was given.

    Args:
        config: What the pipeline was started with.
        is_restarted: There was a sink of this run before.
        report: Takes what people should know of a file that can't be gone on with.

    Attributes:
        watch: What applies now.
        asking: Where people ask for changes.
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
        """Has everything replaced; waits until that is done.

        Returns:
            How long it lasts, and what else there is to know, in words.

        Raises:
            UserError: Nothing was changed, and why.
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
        """Why zones, lines and ground can't be kept elsewhere in their view, in words; empty if they can.

        Args:
            places: Their names, such as ``zones.drive``.
            for_good: The view outlasts the run: so must they.
        """
        if not places:
            return ""
        if self._file is None:
            return (
                f"{places[0]} must move with the view, but would be back after a restart of the sink: "
                "set watch.file to a file for it"
            )
        if for_good and (own := sorted(set(places) & set(self._own.split(", ")))):
            return (
                f"{own[0]} is in the configuration file and can't be changed there: move it to {self._file}"
            )
        return ""

    def carry(self, watch: Watch, apply: Callable[[Watch], None]) -> str:
        """Applies what has moved along with a view, and keeps it; called by the sink's thread.

        Returns:
            How long it lasts, in words.
        """
        apply(watch)
        self.watch = watch
        try:
            self._write(watch)
        except UserError as error:
            return f"until the sink stops: {error}"
        return self._lasts()

    def take(self, apply: Callable[[Watch], None]) -> None:
        """Applies what was asked for, if anything; called by the sink's thread."""
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
        """Writes the file, if there is one; what was in it, None for nothing.

        Raises:
            UserError: It can't be written.
        """
        if self._file is None:
            return None
        try:
            before = self._file.read_bytes()
        except OSError:  # it is gone
            before = None
        write_watch(self._file, watch, self._started_with)
        return before

    def _write_back(self, before: bytes | None, why: str) -> None:
        """Has the file as it was.

        Raises:
            UserError: That is not possible.
        """
        try:
            if self._file and before is None:
                self._file.unlink(missing_ok=True)
            elif self._file and before is not None:
                write_whole(self._file, before, sync=True)
        except OSError as error:
            raise UserError(
                f"{why}; {self._file} holds what was sent and can't be restored: {error.strerror}"
            ) from None

    def _put_before(self, file: Path, report: Callable[[str], None]) -> Watch:
        """What an earlier sink was given, unless somebody has spoilt the file since."""
        try:
            watch = load_watch(file)
            self._check_views(watch)
        except UserError as error:
            report(f"zones, lines and rules are those from the start, not those sent later: {error}")
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
                    "in streams without zones, lines, ground or views at the start, zones do not follow the "
                    "camera until the next start"
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
