"""A real MQTT broker that tests can kill and restart, and a client that records its messages."""

import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support import free_port, missing, need_module
from tests.workers.program import until

_WAIT_S = 20.0


def need_broker() -> str:
    """Path of mosquitto; if it is not installed, skips the test, or fails it under CI."""
    need_module("paho", "paho-mqtt")
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    return found or missing("mosquitto", "Debian's mosquitto")


class Broker:
    """mosquitto on loopback, with a database on disk that is kept between starts.

    Attributes:
        port: Its port, the same after each start.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        self._program, self.port = need_broker(), free_port()
        self._config = folder / "mosquitto.conf"
        kept = ("persistence true", f"persistence_location {folder}/", "autosave_on_changes true")
        access = settings or ("allow_anonymous true",)
        lines = (f"listener {self.port} 127.0.0.1", "user root", "autosave_interval 1", *kept, *access)
        self._config.write_text("\n".join(lines) + "\n")
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGKILL)

    def start(self) -> None:
        """Starts the broker and waits until it accepts connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until(self._accepts, "the broker accepts connections", _WAIT_S, self._log.read_text)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stops the broker: gracefully with SIGTERM, as in a crash with SIGKILL."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Deletes its database; call it while the broker is stopped."""
        for file in self._config.parent.glob("mosquitto.db*"):
            file.unlink()

    def _accepts(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
                return True
        except OSError:
            return False


class Listener:
    """Records all messages, including those published while it was disconnected.

    Attributes:
        heard: Topic and text of each message, in order.
    """

    def __init__(self, port: int) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard: list[tuple[str, str]] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "listener", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(_WAIT_S), "the broker did not accept the subscription"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None
        self._client.disconnect()
        self._client.loop_stop()

    def texts(self, topic: str) -> list[str]:
        """The messages on a topic, oldest first."""
        return [text for heard, text in list(self.heard) if heard == topic]

    def wait_for(self, topic: str, count: int) -> list[str]:
        """Waits for at least ``count`` messages on a topic, and returns them."""
        until(lambda: len(self.texts(topic)) >= count, f"{count} on {topic}", _WAIT_S, self._told)
        return self.texts(topic)

    def wait_for_last(self, topic: str, text: str) -> None:
        """Waits until the newest message on a topic is ``text``."""
        until(lambda: self.texts(topic)[-1:] == [text], f"{text} on {topic}", _WAIT_S, self._told)

    def _hear(self, _client: Any, _data: Any, message: Any) -> None:
        self.heard.append((message.topic, message.payload.decode()))

    def _told(self) -> str:
        return "\n" + "\n".join(map(str, self.heard))
