"""MQTT discovery and states of sensors for Home Assistant."""

import hashlib
import json
import re
import threading
from typing import Any

from pipeline import __version__
from pipeline.base.event import Event
from pipeline.base.outlet import Outlet
from pipeline.base.picture_state import FAULTS
from pipeline.base.watched import Watch
from pipeline.scene.sentence import DIRECTIONS, direction_name

ONLINE, OFFLINE = "online", "offline"
_NOT_SAFE = re.compile(r"[^A-Za-z0-9_-]")


def safe(name: str) -> str:
    """Makes a name safe for topics; different names stay different."""
    plain = _NOT_SAFE.sub("_", name)
    return plain if plain == name else f"{plain}_{hashlib.blake2b(name.encode(), digest_size=3).hexdigest()}"


class HomeAssistant:
    """Retained messages by topic: sensor configurations and current states.

    Args:
        outlet: Which streams, zones and kinds are sent, and to where.
        watch: Zones and rules.

    Attributes:
        availability: The availability topic of all sensors.
    """

    def __init__(self, outlet: Outlet, watch: Watch) -> None:
        self._outlet, self._watch = outlet, watch
        self.availability = f"{outlet.topic}/status"
        self._lock = threading.Lock()
        self._retained: dict[str, str] = {}
        self._changed: set[str] = set()
        self._lasting: dict[str, set[str]] = {}
        self._streams: set[str] = set()

    def events_topic(self, stream_id: str) -> str:
        """Topic of a stream's events."""
        return f"{self._outlet.topic}/{safe(stream_id)}/events"

    def add_stream(self, stream_id: str) -> None:
        """Announces the sensors of a stream's zones, once."""
        wanted = not self._outlet.streams or stream_id in self._outlet.streams
        with self._lock:
            if stream_id in self._streams or not wanted:
                return
            self._streams.add(stream_id)
            for name, zone in self._watch.zones.items():
                if zone.is_in(stream_id) and (not self._outlet.zones or name in self._outlet.zones):
                    self._add_zone(stream_id, name)

    def note(self, event: Event) -> None:
        """Updates the states from an event."""
        self.add_stream(event.stream_id)
        place = self._place(event.stream_id, event.zone or "")
        with self._lock:
            if event.kind == "moving" and event.zone:
                self._set(f"{place}/motion", "ON" if self._still_lasting(f"{place}/motion", event) else "OFF")
            if event.kind in FAULTS:
                self._note_health(event)
            if event.zone and event.speed is not None:
                self._set(f"{place}/speed", f"{event.speed:.3f}")
            if event.zone and event.direction_deg is not None:
                self._set(f"{place}/direction", direction_name(event.direction_deg))

    def pop_changes(self, *, everything: bool = False) -> dict[str, str]:
        """Retained messages by topic that are new or changed; all of them after a new connection."""
        with self._lock:
            topics = list(self._retained) if everything else [t for t in self._retained if t in self._changed]
            self._changed = set()
            return {topic: self._retained[topic] for topic in topics}

    def _place(self, stream_id: str, zone: str) -> str:
        return "/".join((self._outlet.topic, safe(stream_id), *([safe(zone)] if zone else [])))

    def _still_lasting(self, topic: str, event: Event) -> set[str]:
        """Ids of the open episodes after this event."""
        lasting = self._lasting.setdefault(topic, set())
        lasting.discard(event.start or "")
        if event.phase == "start":
            lasting.add(event.id)
        return lasting

    def _note_health(self, event: Event) -> None:
        topic = f"{self._place(event.stream_id, '')}/health"
        self._add_sensor("sensor", event.stream_id, "health", "health", topic, icon="mdi:cctv")
        self._still_lasting(f"{topic}/{event.kind}", event)
        wrong = [kind for kind in FAULTS if self._lasting.get(f"{topic}/{kind}")]
        self._set(topic, ", ".join(wrong) or "ok")

    def _add_zone(self, stream_id: str, zone: str) -> None:
        place, kinds = self._place(stream_id, zone), self._outlet.kinds
        moving = any(rule.zone == zone and rule.kind == "moving" for rule in self._watch.all_rules().values())
        if moving and (not kinds or "moving" in kinds):
            topic, key = f"{place}/motion", f"{safe(zone)}_motion"
            self._add_sensor("binary_sensor", stream_id, f"{zone} motion", key, topic, device_class="motion")
            self._set(topic, "OFF")
        self._add_sensor(
            "sensor", stream_id, f"{zone} speed", f"{safe(zone)}_speed", f"{place}/speed",
            unit_of_measurement="widths/s", state_class="measurement", icon="mdi:speedometer",
        )  # fmt: skip
        self._add_sensor(
            "sensor", stream_id, f"{zone} direction", f"{safe(zone)}_direction", f"{place}/direction",
            device_class="enum", options=list(DIRECTIONS), icon="mdi:compass",
        )  # fmt: skip

    def _add_sensor(
        self, component: str, stream_id: str, name: str, key: str, topic: str, **about: Any
    ) -> None:
        if not self._outlet.discovery:
            return
        device = f"{self._outlet.topic.replace('/', '_')}_{safe(stream_id)}"
        config = {
            "name": name,
            "unique_id": f"{device}_{key}",
            "state_topic": topic,
            "availability_topic": self.availability,
            "device": {
                "identifiers": [device],
                "name": stream_id,
                "manufacturer": "KVQ Stream",
                "sw_version": __version__,
            },
            "origin": {"name": "KVQ Stream", "sw_version": __version__},
            **about,
        }
        self._set(f"{self._outlet.discovery}/{component}/{device}_{key}/config", json.dumps(config))

    def _set(self, topic: str, payload: str) -> None:
        if self._retained.get(topic) != payload:
            self._retained[topic] = payload
            self._changed.add(topic)
