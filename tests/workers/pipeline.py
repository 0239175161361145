"""A whole pipeline under its supervisor, watched as a monitor watches it: through its stats."""

import atexit
import functools
import json
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.account.stats import StreamStats, WorkerStats
from pipeline.base.config import load_config
from tests.workers.program import RUN_S, START_S, Outcome, Program, until
from workers.collector import Collector
from workers.rundir import find_endpoints

QUICK = ("--set", "inference.threads=1", "--set", "sink.web=false")
"""Tests share the machine: one thread for the model, and no web page where it is not the subject."""


@functools.cache
def small_checkpoint() -> Path:
    """Of a network for 64 px: the step of the shipped one takes most of a core from a camera."""
    # torch takes seconds, and others here need none
    from pipeline.model.checkpoint import save_checkpoint
    from tests.model.small import small

    folder = tempfile.TemporaryDirectory(prefix="kvq-network-")
    atexit.register(folder.cleanup)
    save_checkpoint(Path(folder.name) / "small.safetensors", small())
    return Path(folder.name) / "small.safetensors"


def quick_model() -> tuple[str, ...]:
    """Options of inference where its answers do not matter: one thread for a small network."""
    return (*QUICK[:2], "--set", f"inference.checkpoint={small_checkpoint()}")


class Pipeline(Program):
    """All workers under the supervisor, with report and predictions; watched through their stats."""

    def __init__(self, folder: Path, *arguments: str, name: str = "run", quick: bool = True) -> None:
        """Notes what to run, as ``Program``; ``quick`` adds what saves time, a small network among it."""
        super().__init__(folder, *arguments, name=name)
        files = ("--report", str(self.report_file), "--predictions", str(self.predictions_file))
        videos = ("--set", f"run.output_dir={self.folder / 'videos'}")
        saving = (*quick_model(), *QUICK[2:]) if quick else ()
        self._arguments = ("--headless", *files, *videos, *saving, *arguments)
        self._collector: Collector | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._collector is not None:
            self._collector.close()

    def run_folders(self) -> list[Path]:
        """The folders of this test's runs, also of those that were killed."""
        return sorted((self.runtime / "kvq-stream").glob("*/files"))

    def stats(self, worker: str) -> WorkerStats | None:
        """The newest stats of a worker, as a monitor gets them."""
        if self._collector is None:
            folders = self.run_folders()
            if not folders:
                return None
            config = find_endpoints(load_config(), folders[-1])
            self._collector = Collector(config)
        self._collector.poll(0.05)
        return self._collector.newest(worker)

    def stream(self, role: str, stream_id: str) -> StreamStats:
        """The newest stats of a worker for one stream; zeros before it has any."""
        stats = self.stats(role)
        return stats.streams.get(stream_id, StreamStats()) if stats else StreamStats()

    def wait_until(
        self, role: str, stream_id: str, condition: Callable[[StreamStats], bool], timeout_s: float = START_S
    ) -> None:
        """Waits until a worker's stats for a stream fulfil a condition."""

        def fulfilled() -> bool:
            assert self.process.poll() is None, f"ended while the test waited: {self._told()}"
            return condition(self.stream(role, stream_id))

        until(fulfilled, f"the stats of {role} that the test waits for", timeout_s, self._told)

    def wait_for_rendered(self, stream_id: str, frames: int, timeout_s: float = START_S) -> None:
        """Waits until the sink has shown a number of frames; a restarted sink counts anew."""
        self.wait_until("sink", stream_id, lambda stats: stats.rendered >= frames, timeout_s)

    def wait_for_overlays(self, stream_id: str, frames: int, timeout_s: float = START_S) -> None:
        """Waits until the sink has shown a number of frames together with their predictions."""
        self.wait_until(
            "sink",
            stream_id,
            lambda stats: stats.rendered - sum(stats.rendered_without.values()) >= frames,
            timeout_s,
        )

    def pid(self, role: str) -> int:
        """Process id of the worker that has this role now."""
        stats = self.stats(role)
        assert stats is not None, self._told()
        return stats.pid

    def kill(self, role: str) -> None:
        """Kills a worker as the out-of-memory killer would, and waits until another one is up."""
        stats = self.stats(role)
        assert stats is not None, self._told()
        dead = stats.session
        os.kill(stats.pid, signal.SIGKILL)

        def another() -> bool:
            newest = self.stats(role)
            return newest is not None and newest.session != dead and newest.state == "ready"

        until(another, f"{role} is started again", START_S, self._told)

    def finish(self, timeout_s: float = RUN_S) -> Outcome:
        """Waits for the end; checks that no process, folder or socket of the run is left."""
        outcome = super().finish(timeout_s)
        left = [str(path) for path in (self.runtime / "kvq-stream").rglob("*")]
        assert left == [], outcome.told()
        return outcome


def streams(*tables: dict[str, Any]) -> tuple[str, str]:
    """Options that configure ``[[streams]]`` with more than ``--source`` can say."""
    texts = [", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) for table in tables]
    return "--set", f"streams=[{', '.join(f'{{{text}}}' for text in texts)}]"
