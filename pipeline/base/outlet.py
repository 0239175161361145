"""The configuration of outlets: webhooks, MQTT brokers, push services."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from pipeline.base import quantities
from pipeline.base.event import Event, EventKind, Phase
from pipeline.base.text import Name, StreamId

OutletKind: TypeAlias = Literal["webhook", "mqtt", "push"]
Topic: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(?:[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*)?\Z",
        max_length=64,
        description="letters, digits, _ and -, with / between levels",
    ),
]
"""First levels of MQTT topics."""

_SCHEMES: dict[OutletKind, tuple[str, ...]] = {
    "webhook": ("https://", "http://"),
    "mqtt": ("mqtt://", "mqtts://"),
}
_MQTT_ONLY = {"topic": "kvq", "discovery": "homeassistant"}


class Outlet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A destination for events, and filters that select them.

    Attributes:
        kind: Type of the outlet.
        url: Destination: ``https://...``, ``mqtt://user:password@host:1883``, ``mqtts://...``, or an Apprise
            address for ``push``. May contain secrets; never shown in full.
        secret_env: Environment variable with the secret: the signing key of a webhook, the MQTT password,
            or additional ``push`` addresses, one per line.
        secret_file: File with the secret, instead of ``secret_env``.
        kinds: Only events of these kinds; all if empty.
        streams: Only events of these streams; all if empty.
        zones: Only events of these zones and lines; all if empty.
        phases: Only these phases; all if empty.
        timeout_s: Time limit for each response.
        give_up_after_h: Age in hours after which an event is no longer sent.
        most_waiting: Largest number of waiting events; beyond it the oldest is dropped.
        topic: First levels of the topics; for ``mqtt``.
        discovery: First level of Home Assistant's discovery topics; for ``mqtt``; none if empty.
    """

    kind: OutletKind
    url: str = ""
    secret_env: str = ""
    secret_file: str = ""
    kinds: list[EventKind] = []
    streams: list[StreamId] = []
    zones: list[Name] = []
    phases: list[Phase] = []
    timeout_s: quantities.Timeout = 10.0
    give_up_after_h: quantities.AgeHours = 24.0
    most_waiting: quantities.Messages = 10_000
    topic: Topic = _MQTT_ONLY["topic"]
    discovery: Topic = _MQTT_ONLY["discovery"]

    def __post_init__(self) -> None:
        """Raises: ValueError: A key is missing or does not apply to this kind; the message has no secrets."""
        if self.secret_env and self.secret_file:
            raise ValueError("secret_env and secret_file: give only one of them")
        schemes = _SCHEMES.get(self.kind)
        if schemes is not None and not self.url.lower().startswith(schemes):
            raise ValueError(f"url: must begin with {' or '.join(schemes)} for kind = {self.kind}")
        if not (self.url or self.secret_env or self.secret_file):
            raise ValueError("url: a push outlet needs url, secret_env or secret_file")
        if self.kind != "mqtt":
            for key, default in _MQTT_ONLY.items():
                if getattr(self, key) != default:
                    raise ValueError(f"{key} does not apply to {self.kind}: leave it out")
        elif not self.topic:
            raise ValueError("topic: must not be empty")

    def is_about(self, event: Event) -> bool:
        """Whether all filters except ``phases`` match an event."""
        place = event.zone or event.line
        about = {event.stream_id, *event.why.get("streams", ())}
        return (
            (not self.kinds or event.kind in self.kinds)
            and (not self.streams or not about.isdisjoint(self.streams))
            and (not self.zones or place in self.zones)
        )

    def wants(self, event: Event) -> bool:
        """Whether an event is sent to this outlet."""
        return self.is_about(event) and (not self.phases or event.phase in self.phases)


Outlets: TypeAlias = dict[Name, Outlet]
