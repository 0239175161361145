"""A real web server that stores POST requests and sends given responses, and one that never responds."""

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Posted:
    """A received POST request.

    Attributes:
        path: Path with query.
        headers: Headers by lower-case name.
        body: The raw body.
    """

    path: str
    headers: dict[str, str]
    body: bytes


class WebServer:
    """Answers requests with the given statuses in order; repeats the last one.

    Attributes:
        taken: Requests that were answered with a status from 200 to 299.
        asked: All requests.
    """

    def __init__(
        self, statuses: Sequence[int] = (200,), port: int = 0, *, answer: bytes = b"", **headers: str
    ) -> None:
        self.taken: list[Posted] = []
        self.asked: list[Posted] = []
        server, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posted = Posted(self.path, {key.lower(): text for key, text in self.headers.items()}, body)
                with lock:
                    status = statuses[min(len(server.asked), len(statuses) - 1)]
                    server.asked.append(posted)
                    if 200 <= status < 300:
                        server.taken.append(posted)
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name.replace("_", "-"), text)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def encrypt(self, certificate: str, key: str) -> None:
        """Switches to TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]

    def __enter__(self) -> "WebServer":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    held.append(listening.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()
