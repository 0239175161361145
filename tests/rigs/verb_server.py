"""A control server as a worker has it: a thread does what is asked."""

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
    """Serves verbs; gives the address at which it listens."""
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
