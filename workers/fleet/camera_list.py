"""The cameras of a fleet and the capture agents that read them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.base.config import StreamConfig
from pipeline.base.errors import UserError
from pipeline.flow.fleet_table import Owner
from workers.fleet.agents_protocol import capture_name
from workers.fleet.beat import Beat
from workers.fleet.fleet_file import Fleet, FleetStream
from workers.fleet.worker_client import Question, stream_path


class FleetError(UserError):
    """A request to the fleet can't be carried out; the message is one line."""


class Cameras:
    """The fleet's cameras by name, initially those of the fleet's file.

    Args:
        fleet: The fleet's configuration.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._streams = {stream.id: stream for stream in fleet.streams}

    def __iter__(self) -> Iterator[str]:
        return iter(self._streams)

    def __contains__(self, stream_id: str) -> bool:
        return stream_id in self._streams

    @property
    def present(self) -> list[FleetStream]:
        """All cameras in the order in which they were added."""
        return list(self._streams.values())

    @present.setter
    def present(self, streams: list[FleetStream]) -> None:
        self._streams = {stream.id: stream for stream in streams}

    @property
    def readers(self) -> dict[str, str]:
        """The capture agent of each camera."""
        return {name: capture_name(self._fleet.capture_of(stream)) for name, stream in self._streams.items()}

    def add(self, stream: FleetStream) -> None:
        """Adds a camera; does nothing if the same one already exists.

        Raises:
            FleetError: Another camera has that name, or its capture agent does not exist.
        """
        try:
            self._fleet.capture_of(stream)
        except ValueError as error:
            raise FleetError(str(error)) from None
        if self._streams.get(stream.id, stream) != stream:
            raise FleetError(f"another stream is named {stream.id!r}: remove it first")
        self._streams[stream.id] = stream

    def remove(self, stream_id: str) -> None:
        """Removes a camera.

        Raises:
            FleetError: No camera has that name.
        """
        if self._streams.pop(stream_id, None) is None:
            raise FleetError(f"there is no stream {stream_id!r}")

    def about(
        self, owners: Mapping[str, Owner], moving: Mapping[str, str], now_ns: int
    ) -> dict[str, dict[str, Any]]:
        """The status of each camera as plain JSON data.

        Args:
            owners: Owner of each stream.
            moving: Target worker of each stream that is being moved.
            now_ns: Unix time.
        """
        return {
            name: {"capture": reader, "moving_to": moving.get(name), **_about_owner(owners.get(name), now_ns)}
            for name, reader in sorted(self.readers.items())
        }

    def questions(self, beat: Beat) -> list[tuple[str, Question]]:
        """Requests, one per stream, after which a capture worker reads exactly its own cameras."""
        present, readers = set(beat.streams), self.readers
        given = {entry.id: _fields(entry) for entry in beat.entries or ()}
        mine = {name: _fields(one) for name, one in self._streams.items() if readers[name] == beat.worker}
        others = {name for name in present & given.keys() if given[name] != mine.get(name, given[name])}
        post = [(name, Question("POST", "/streams", mine[name])) for name in sorted(mine.keys() - present)]
        leave = sorted((present - mine.keys()) | others)
        return post + [(name, Question("DELETE", stream_path(name))) for name in leave]


def _about_owner(owner: Owner | None, now_ns: int) -> dict[str, Any]:
    if owner is None:
        return {"worker": None, "generation": None, "since_s": None, "why": "not assigned yet"}
    return {
        "worker": owner.worker,
        "generation": owner.generation,
        "since_s": round((now_ns - owner.since_ns) / 1e9, 1),
        "why": owner.why,
    }


def _fields(stream: StreamConfig) -> dict[str, Any]:
    return {key: getattr(stream, key) for key in StreamConfig.__struct_fields__}
