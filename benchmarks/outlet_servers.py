"""Servers that receive events in ``benchmarks.outlet_cost``, some of them faulty."""

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_START_S, _SCRAPE_S = 20.0, 1.0


class Posts:
    """A web server that stores POST bodies.

    Args:
        fails_every: Every n-th request is answered with 503; 0 for none.

    Attributes:
        taken: JSON bodies of the requests answered with 200.
        asked: Number of all requests.
    """

    def __init__(self, fails_every: int = 0) -> None:
        self.taken: list[dict[str, Any]] = []
        self.asked = 0
        posts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.asked += 1  # no lock needed: an outlet sends one request at a time
                fails = fails_every and posts.asked % fails_every == 0
                if not fails:
                    posts.taken.append(json.loads(body))
                self.send_response(503 if fails else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> "Posts":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Subscriber:
    """Receives all events from an MQTT broker.

    Attributes:
        taken: Received events, in order.
    """

    def __init__(self, port: int) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.taken: list[dict[str, Any]] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("kvq/+/events", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.taken.append(
            json.loads(message.payload)
        )
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> "Subscriber":
        self._client.loop_start()
        if not self._subscribed.wait(_START_S):
            raise ValueError("the broker does not accept subscriptions")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Runs mosquitto on loopback; yields its port.

    Raises:
        ValueError: mosquitto is not installed or does not start.
    """
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise ValueError("mosquitto is not installed")
    port, config = free_port(), folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
                break
            if time.monotonic() > deadline_s or process.poll() is not None:
                raise ValueError(f"mosquitto does not start: {(folder / 'mosquitto.log').read_text()}")
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def silence() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:  # the kernel accepts connections
        yield listening.getsockname()[1]


@contextlib.contextmanager
def scraped(port: int) -> Iterator[list[int]]:
    """Fetches ``/metrics`` once a second, like Prometheus; yields the response sizes in bytes."""
    over, sizes = threading.Event(), list[int]()

    def scrape() -> None:
        while not over.wait(_SCRAPE_S):
            with (
                contextlib.suppress(OSError),  # while the page is not served
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5.0) as answer,
            ):
                sizes.append(len(answer.read()))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield sizes
    finally:
        over.set()
        thread.join()


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
