"""The model's step on OpenVINO, on a CPU, in float32 or int8."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.base.packages import load_package
from pipeline.model.device import DeviceError
from pipeline.runtime.exported import quantise
from pipeline.runtime.exported.answer import ANSWER, STATE, openvino_answer
from pipeline.runtime.exported.convert import INPUTS, OUTPUTS, to_openvino
from pipeline.runtime.exported.graph_runtime import Array, ExportedRuntime, Graph, Say

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM

_CHECKED_CLIPS = 32


class OpenVINORuntime(ExportedRuntime):
    """See ``ExportedRuntime``.

    The step is compiled for one stream, and the streams of a batch take turns: on a CPU a batch is no
    faster, and a graph for any batch is slower for one stream.

    Args:
        model: See there.
        device: ``auto`` or ``cpu``.
        precision: ``auto``, ``fp32`` or ``int8``.
        threads: See there.
        name: See there.
        film: Makes the clips that int8 is calibrated on; None where int8 is not asked for.
        least_agreement: Share of clips that int8 must answer as float32 does.
        say: See there.

    Raises:
        DeviceError: Another device or precision; or answers in int8 differ too often from those in float32.
        MissingPackageError: OpenVINO, or for int8 NNCF, is not installed.
    """

    backend = "openvino"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "int8")

    def __init__(
        self,
        model: "TemporalKVQResNetCBAM | Path",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        name: str = "model",
        *,
        film: quantise.FilmMaker | None = None,
        least_agreement: float = quantise.LEAST_AGREEMENT,
        say: Say = print,
    ) -> None:
        if precision == "int8" and film is None:
            raise DeviceError("int8 needs clips to calibrate on")
        self._film, self._least_agreement = film, least_agreement
        super().__init__(model, device, precision, threads, name, say=say)

    def _versions(self) -> list[str]:
        own = f"openvino {load_package('openvino', 'openvino').get_version()}"
        return [own, *quantise.versions()] if self.precision == "int8" else [own]

    def _restore(self, *stored: bytes) -> bool:
        core = self._core()
        try:
            self._open(*(core.import_model(graph, "CPU", self.options()) for graph in stored))
        except RuntimeError:
            return False
        return True

    def _compile(self, model: "TemporalKVQResNetCBAM") -> list[bytes]:
        step = to_openvino(model, pixels=True)
        step.reshape({port.any_name: [1, *list(port.partial_shape)[1:]] for port in step.inputs})
        if self.precision == "int8":
            step = self._in_int8(step)
        answer = self._cut(openvino_answer, step)
        core = self._core()
        graphs = [core.compile_model(graph, "CPU", self.options()) for graph in (step, answer) if graph]
        self._open(*graphs)
        return [graph.export_model().getvalue() for graph in graphs]

    def _open(self, step: Any, answer: Any = None) -> None:
        self._step = _in_turns(step, INPUTS, (*OUTPUTS, *self._asked))
        self._answer = _in_turns(answer, (*self._asked, *STATE), ANSWER) if answer else None

    def _in_int8(self, step: Any) -> Any:
        """The step calibrated on clips, once it is seen to answer like that in float32 on others."""

        def play(step: Any, frames: Sequence[Array]) -> tuple[Array, list[quantise.Feed]]:
            compiled = self._core().compile_model(step, "CPU", self.options())
            return quantise.play(compiled, frames, self._empty)

        assert self._film is not None
        self._say(f"{self.name}: int8: filming {quantise.CALIBRATION_CLIPS} clips to calibrate on")
        shape = self._size, self.num_past
        film = self._film(*shape, quantise.CALIBRATION_CLIPS, quantise.CALIBRATION_SEED)
        self._say(f"{self.name}: int8: choosing the ranges of all layers")
        rough = quantise.quantise(step, play(step, list(film.frames))[1])
        film = self._film(*shape, _CHECKED_CLIPS, quantise.HELD_OUT_SEED)
        exact, found = (play(one, list(film.frames))[0] for one in (step, rough))
        share = quantise.agreement(exact, found)
        if share < self._least_agreement:
            raise DeviceError(
                f"{self.name}: int8 gives another answer than float32 for {1 - share:.0%} of the clips: "
                "choose precision fp32"
            )
        self._say(
            f"{self.name}: int8: same answer as float32 for {share:.0%} of {_CHECKED_CLIPS} other clips"
        )
        return rough

    def _core(self) -> Any:
        return load_package("openvino", "openvino").Core()

    def options(self) -> dict[str, Any]:
        """How OpenVINO compiles for this runtime."""
        return {
            "INFERENCE_NUM_THREADS": self._thread_count,
            "INFERENCE_PRECISION_HINT": "f32",  # some processors would otherwise compute in bf16
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # other workers need the same cores
        }


def _in_turns(compiled: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Graph:
    """A compiled graph for one stream as one for any number of them."""
    request = compiled.create_infer_request()

    def run(arrays: Sequence[Array]) -> list[Array]:
        rows, alone = [], len(arrays[0]) == 1
        for row in range(len(arrays[0])):
            feed = {name: part[row : row + 1] for name, part in zip(inputs, arrays, strict=True)}
            found = request.infer(feed, share_inputs=True, share_outputs=alone)
            rows.append([found[name] for name in outputs])
        return rows[0] if alone else [np.concatenate(parts) for parts in zip(*rows, strict=True)]

    return run
