"""The HTTP control server of a worker that runs on its own (``[control]``)."""

from collections.abc import Sequence
from typing import Any

from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.config import Config
from pipeline.base.errors import ConfigError
from pipeline.base.program import PROGRAM
from pipeline.view.web.verbs import Verb, VerbQueue


class Control:
    """Opens the control server; the worker's thread carries out the requests.

    Args:
        config: The whole configuration, with ``control.listen``.
        stats: The worker's statistics, the source of ``/healthz``.
        verbs: The operations that the worker offers.

    Raises:
        OutputError: The address can't be used or is not allowed.
        UserError: The token can't be read.
    """

    def __init__(self, config: Config, stats: WorkerStats, verbs: Sequence[Verb]) -> None:
        # a capture-only machine has no web server packages
        from pipeline.view.web.control_server import ControlServer
        from pipeline.view.web.put_zones import read_token

        control = config.control
        self._stats, self._hung_after_ns = stats, config.run.hung_after_s * 1e9
        self.queue = VerbQueue()
        token = read_token(control.token_file, "control.token_file") if control.token_file else None
        self._server = ControlServer(control.listen, token, verbs, self.queue, self._health)
        self.address = self._server.address

    def close(self) -> None:
        """Refuses waiting requests and stops serving."""
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
    """Checks that no control server is configured when a supervisor runs all workers.

    Raises:
        ConfigError: ``control.listen`` is set.
    """
    if config.control.listen:
        raise ConfigError(
            f"control.listen is only for workers that run on their own, such as `{PROGRAM} inference`: "
            "here all workers would listen at the same address"
        )
