"""Inference workers that are started by themselves and told over HTTP which streams are theirs."""

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pipeline.base.config import load_config
from tests.rigs.http import Reply, ask
from tests.workers.pipeline import quick_model
from tests.workers.program import START_S, Program, until
from workers.collector import Collector

NAMES = ("left", "right")


class Fleet(contextlib.ExitStack):
    """Two inference workers and a sink, each a program of its own; ``capture`` starts the last one.

    Args:
        place: Folder of the test.
        inference: More options of the inference workers.
        sink: More options of the sink.
    """

    def __init__(self, place: Path, inference: Sequence[str] = (), sink: Sequence[str] = ()) -> None:
        super().__init__()
        self.place, self._inference, self._sink = place, inference, sink
        self._places = {
            "frames": [f"ipc://{place}/at-frames"],
            "predictions": [f"ipc://{place}/at-predictions-{name}" for name in NAMES],
            "capture_stats": [f"ipc://{place}/at-capture"],
            "inference_stats": [f"ipc://{place}/at-inference-{name}" for name in NAMES],
            "sink_stats": [f"ipc://{place}/at-sink"],
        }

    def __enter__(self) -> Self:
        super().__enter__()
        config = load_config(None, [text for text in self._endpoints() if text != "--set"])
        self.collector = self.enter_context(contextlib.closing(Collector(config)))
        written = (
            "--predictions",
            "predictions.jsonl",
            "--set",
            "run.output_dir=",
            "--set",
            "sink.web=false",
        )
        self.sink = self._start("sink", "sink", *self._endpoints(), *written, *self._sink)
        self.inference = {name: self._start_inference(name) for name in NAMES}
        for name in NAMES:
            until(lambda name=name: self.is_ready(name), f"{name} is ready", START_S, self.told)  # type: ignore[misc]
        return self

    def capture(self, *arguments: str) -> Program:
        """Starts the capture worker."""
        self.camera = self._start("capture", "capture", *self._endpoints(), *arguments)
        return self.camera

    def ask(self, name: str, method: str, path: str, body: Any = None) -> Reply:
        """Asks an inference worker."""
        return ask(f"unix:{self.place}/control-{name}", method, path, body)

    def is_ready(self, name: str) -> bool:
        """Whether it works, and somebody hears it."""
        with contextlib.suppress(OSError):
            told = {"stream_id": "trial", "generation": 0, "state": "owned"}
            if self.ask(name, "POST", "/streams", told).code == 201:
                return self.ask(name, "DELETE", "/streams/trial?generation=0").code == 204
        return False

    def own(self, name: str, stream_id: str, generation: int, state: str = "owned") -> int:
        """Gives a stream to a worker; the code of the answer."""
        told = {"stream_id": stream_id, "generation": generation, "state": state}
        return self.ask(name, "POST", "/streams", told).code

    def move(self, stream_id: str, generation: int, source: str, target: str) -> str:
        """A planned move to a generation; what became of the memory."""
        assert self.own(target, stream_id, generation, "standby") == 201, self.told()
        code, memory = self.ask(source, "DELETE", f"/streams/{stream_id}?generation={generation - 1}")
        assert code == 200, (code, memory, self.told())
        code, told = self.ask(target, "PUT", f"/streams/{stream_id}?generation={generation}", memory)
        assert code == 200, (code, told, self.told())
        return str(told["memory"])

    def predicted(self, stream_id: str, worker: str) -> int:
        """How many frames of a stream a worker has predicted."""
        self.collector.poll(0.05)
        stats = self.collector.newest(worker)
        return stats.streams[stream_id].predicted if stats and stream_id in stats.streams else 0

    def end(self) -> dict[str, Any]:
        """Ends inference and sink in order; the report of all."""
        for program in (*self.inference.values(), self.sink):
            program.signal(signal.SIGINT)
        for program in (*self.inference.values(), self.sink):
            with contextlib.suppress(ProcessLookupError):
                os.kill(program.process.pid, signal.SIGCONT)
            until(lambda: self.collector.poll(0.05) or program.process.poll() is not None, "it ends", START_S)  # noqa: B023
            outcome = program.finish()
            assert outcome.code == 0, outcome.told()
            self.collector.poll(0.1)
        return self.collector.report(final=True)

    def told(self) -> str:
        """Everything that the programs said."""
        programs = [self.sink, *getattr(self, "inference", {}).values()]
        return "\n".join(program.out + program.err for program in programs)

    def _start_inference(self, name: str) -> Program:
        options = [
            f"control.listen=unix:{self.place}/control-{name}",
            "inference.assigned=true",
            f"inference.name={name}",
        ]
        more = [part for text in options for part in ("--set", text)]
        return self._start("inference", name, *self._endpoints(name), *more, *quick_model(), *self._inference)

    def _start(self, command: str, name: str, *arguments: str) -> Program:
        return self.enter_context(Program(self.place, command, *arguments, name=name))

    def _endpoints(self, first: str = "") -> list[str]:
        found = []
        for key, places in self._places.items():
            own = sorted(places, key=lambda place: not place.endswith(f"-{first}"))
            found += ["--set", f"endpoints.{key}={own}"]
        return found
