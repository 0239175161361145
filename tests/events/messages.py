"""Events and messages for the tests of this room."""

from typing import Any

import msgspec

from pipeline.base.clock import now_ns
from pipeline.base.config import load_config
from pipeline.base.event import Event, event_id
from pipeline.base.outlet import Outlet
from pipeline.base.watched import Watch
from pipeline.events.sender import Message

WATCH: Watch = load_config(
    None, ["zones.drive.points=[[0.1,0.1],[0.5,0.1],[0.5,0.5]]", "lines.gate.points=[[0,0],[1,1]]"]
).watched()


def event(number: int = 0, **changes: Any) -> Event:
    values: dict[str, Any] = {
        "id": event_id("test", number),
        "time": "2026-11-29T12:00:00.250Z",
        "stream_id": "door",
        "kind": "moving",
        "phase": "start",
        "zone": "drive",
    }
    return Event(**values | changes)


def message(one: Event | None = None, number: int = 1) -> Message:
    one = one or event()
    return Message(number, "test", f"{one.id}-{one.phase}", msgspec.json.encode(one), now_ns())


def outlet(kind: str, url: str, **changes: Any) -> Outlet:
    return msgspec.convert({"kind": kind, "url": url, **changes}, Outlet)
