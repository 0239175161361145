"""Publishes events over MQTT as JSON, with sensors for Home Assistant."""

import ssl
import threading
import time
from typing import Any
from urllib.parse import unquote

import msgspec

from pipeline.base.event import Event
from pipeline.base.outlet import Outlet
from pipeline.base.packages import load_package
from pipeline.base.redact import reason
from pipeline.base.watched import Watch
from pipeline.events.home_assistant import OFFLINE, ONLINE, HomeAssistant
from pipeline.events.sender import Message, Refused, Sender, Undelivered, shown_url, split_url

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_KEEP_ALIVE_S = 15
_LOOK_S = 0.1


class Mqtt(Sender):
    """Publishes to one broker. After a lost connection a new client is created, with nothing in flight.

    Args:
        outlet: Its settings.
        secret: The password; if empty, the one in the URL, if any.
        watch: Zones and rules.

    Raises:
        OutletError: The URL is invalid.
        MissingPackageError: paho-mqtt is not installed.
    """

    def __init__(self, outlet: Outlet, secret: str, watch: Watch) -> None:
        self._paho = load_package("paho.mqtt.client")
        parts = split_url(outlet.url)
        self.where = shown_url(parts)
        self._host, self._port = parts.hostname, parts.port or _PORTS[parts.scheme]
        self._encrypted = parts.scheme == "mqtts"
        self._user = unquote(parts.username) if parts.username else None
        self._password = secret or unquote(parts.password or "") or None
        self._timeout_s = outlet.timeout_s
        self._home = HomeAssistant(outlet, watch)
        self._client: Any = None

    def send(self, message: Message) -> None:
        """Publishes a message; returns once the broker has acknowledged it.

        Raises:
            Undelivered: There is no connection, or no acknowledgement.
            Refused: The message is not an event.
        """
        try:
            stream_id = msgspec.json.decode(message.body, type=Event).stream_id
        except msgspec.MsgspecError:
            raise Refused("not an event that this version supports") from None
        self.keep_up()
        self._publish(self._home.events_topic(stream_id), message.body, retain=False)

    def keep_up(self) -> None:
        """Connects if necessary, and publishes changed states."""
        is_new = self._client is None or not self._client.is_connected()
        if is_new:
            self._connect()
        for topic, payload in self._home.pop_changes(everything=is_new).items():
            self._publish(topic, payload, retain=True)
        if is_new:
            self._publish(self._home.availability, ONLINE, retain=True)

    def note(self, event: Event) -> None:
        """Updates the state of the event's zone or camera."""
        self._home.note(event)

    def add_stream(self, stream_id: str) -> None:
        """Announces a stream."""
        self._home.add_stream(stream_id)

    def close(self) -> None:
        """Marks the states as unavailable, and disconnects."""
        if self._client is not None and self._client.is_connected():
            try:
                self._publish(self._home.availability, OFFLINE, retain=True)
            except Undelivered:
                return
        self._drop()

    def _publish(self, topic: str, payload: bytes | str, *, retain: bool) -> None:
        try:
            deadline_s = time.monotonic() + self._timeout_s
            sent = self._client.publish(topic, payload, qos=1, retain=retain)
            while not sent.is_published() and self._client.is_connected() and time.monotonic() < deadline_s:
                sent.wait_for_publish(_LOOK_S)  # a short timeout: the call does not notice a lost connection
            arrived = sent.is_published()
        except (ValueError, RuntimeError, OSError):  # the connection is lost, or its queue is full
            arrived = False
        if not arrived:
            self._drop()
            raise Undelivered("the connection was lost, or there was no answer")

    def _connect(self) -> None:
        """Connects, with a last will, and waits for the broker's acknowledgement."""
        self._drop()
        paho, answered, answers = self._paho, threading.Event(), list[str]()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        client.will_set(self._home.availability, OFFLINE, qos=1, retain=True)
        client.connect_timeout = self._timeout_s

        def on_connect(_client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
            answers.append("" if not code.is_failure else str(code).lower())
            answered.set()

        client.on_connect = on_connect
        if self._user is not None or self._password is not None:
            client.username_pw_set(self._user or "", self._password)
        if self._encrypted:
            client.tls_set()
        self._client = client
        try:
            client.connect(self._host, self._port, keepalive=_KEEP_ALIVE_S)
        except ssl.SSLCertVerificationError as error:
            self._drop()
            raise Undelivered(f"its certificate is not trusted: {error.verify_message}") from None
        except (OSError, ValueError) as error:
            self._drop()
            text = f"no answer in {self._timeout_s:g} s" if isinstance(error, TimeoutError) else reason(error)
            raise Undelivered(text) from None
        client.loop_start()
        if not answered.wait(self._timeout_s):
            self._drop()
            raise Undelivered(f"no answer in {self._timeout_s:g} s")
        if answers[0]:
            self._drop()
            raise Undelivered(f"the broker refused the connection: {answers[0]}")

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.on_connect = None
            client.disconnect()
            client.loop_stop()
