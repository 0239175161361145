"""A control server like that of a worker: a thread carries out the requests."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.view.web.control_server import ControlServer
from pipeline.view.web.verbs import Verb, VerbQueue


@contextmanager
def serving(
    listen: str,
    verbs: Sequence[Verb],
    health: Callable[[], tuple[bool, dict[str, Any]]],
    token: str | None = None,
) -> Iterator[str]:
    """Serves the operations ``verbs``; yields the address of the server."""
    queue, stop = VerbQueue(), threading.Event()
    server = ControlServer(listen, token, verbs, queue, health)
    queue.accept()

    def work() -> None:
        while not stop.wait(0.002):
            queue.do_all()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield server.address
    finally:
        stop.set()
        worker.join()
        queue.refuse("over")
        server.close()
