"""The HTTP control server of a worker that runs on its own (``[control]``)."""

from collections.abc import Sequence
from typing import Any

from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.config import Config
from pipeline.base.errors import ConfigError
from pipeline.view.web.verbs import Verb, VerbQueue


class Control:
    """Opens the control server; the worker's thread then does what is asked.

    Args:
        config: The whole configuration, with ``control.listen``.
        stats: Of the worker: what ``/healthz`` tells.
        verbs: What the worker does.

    Raises:
        OutputError: It can't listen there, or must not.
        UserError: The token can't be read.
    """

    def __init__(self, config: Config, stats: WorkerStats, verbs: Sequence[Verb]) -> None:
        # a box that only captures has no web server, and needs none
        from pipeline.view.web.control_server import ControlServer
        from pipeline.view.web.put_zones import read_token

        control = config.control
        self._stats, self._hung_after_ns = stats, config.run.hung_after_s * 1e9
        self.queue = VerbQueue()
        token = read_token(control.token_file, "control.token_file") if control.token_file else None
        self._server = ControlServer(control.listen, token, verbs, self.queue, self._health)
        self.address = self._server.address

    def close(self) -> None:
        """Refuses what waits, and stops serving."""
        self.queue.refuse("the worker has stopped")
        self._server.close()

    def _health(self) -> tuple[bool, dict[str, Any]]:
        stats = self._stats
        silent_ns = now_ns() - stats.sent_ns
        is_hung = stats.state == "ready" and 0 < self._hung_after_ns < silent_ns
        state = "hung" if is_hung else stats.state
        told = {"worker": stats.worker, "role": stats.role, "state": state, "session": stats.session}
        return state == "ready", told


def check_control(config: Config) -> None:
    """Checks that no control server is asked for where a supervisor runs all workers.

    Raises:
        ConfigError: One is.
    """
    if config.control.listen:
        raise ConfigError(
            "control.listen is for workers that are started by themselves: python run_stream.py inference; "
            "here all workers would listen at the same address"
        )
