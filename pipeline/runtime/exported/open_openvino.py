"""Opens the step on OpenVINO: CPU, in float32, bfloat16 or int8."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base.packages import load_package
from pipeline.model.description import Description
from pipeline.model.device import DeviceError
from pipeline.model.preprocessing import Size
from pipeline.runtime.base import Runtime
from pipeline.runtime.engine import About
from pipeline.runtime.exported import quantise
from pipeline.runtime.exported.answer_graph import openvino_answer, openvino_encoder
from pipeline.runtime.exported.array_state import Array, ArrayState
from pipeline.runtime.exported.exported_engine import Graph, Graphs
from pipeline.runtime.exported.open_exported import Compiled, cut_answer, open_exported, pick_precision
from pipeline.runtime.exported.ports import ports
from pipeline.runtime.runtime_options import Options

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM

_CHECKED_CLIPS = 32


def open_openvino(model: "TemporalKVQResNetCBAM | Path", options: Options | None = None) -> Runtime:
    """The runtime on OpenVINO, see ``open_exported``.

    Raises:
        CheckpointError: See ``open_exported``.
        DeviceError: A device other than the CPU, or a precision that OpenVINO or the processor lacks; or
            int8 and float32 answers differ too often.
        MissingPackageError: OpenVINO, or for int8 NNCF, is not installed.
    """
    return open_exported(model, options or Options(), _Compiler)


def choose_precision(wish: str, capabilities: Sequence[str]) -> str:
    """The precision on this processor: ``auto`` is bfloat16 if the processor supports it.

    Args:
        wish: ``auto``, ``fp32``, ``bf16`` or ``int8``.
        capabilities: Capabilities of the processor as reported by OpenVINO, such as ``FP32`` or ``BF16``.

    Raises:
        DeviceError: OpenVINO or the processor lacks it.
    """
    if wish == "auto":
        return "bf16" if "BF16" in capabilities else "fp32"
    if wish == "bf16" and "BF16" not in capabilities:
        raise DeviceError(
            "precision bf16: this processor has no instructions for bfloat16: choose auto, which is fp32 here"
        )
    return pick_precision("openvino", ("fp32", "bf16", "int8"), wish)


def capabilities() -> list[str]:
    """Capabilities of this processor as reported by OpenVINO."""
    found: list[str] = load_package("openvino").Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return found


def openvino_options(threads: int, precision: str = "fp32") -> dict[str, Any]:
    """Compiler options for a number of threads; int8 is part of the step itself."""
    return {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # other workers need the same cores
    }


class _Compiler:
    """See ``Compiler``.

    The step is compiled for one stream, and the streams of a batch run one after the other: on a CPU a batch
    is no faster, and a graph for any batch size is slower for one stream.

    In bfloat16 it is split into two graphs, and only the one for the features is in bfloat16: coordinates
    reach hundreds and their fractions matter, but bfloat16 rounds them to whole pixels.
    """

    backend, device = "openvino", "cpu"

    def __init__(self, model: Description, options: Options, threads: int) -> None:
        if options.device not in ("auto", "cpu"):
            raise DeviceError(
                f"backend openvino runs on the CPU, not on {options.device}: choose auto or cpu"
            )
        self.precision = choose_precision(options.precision, capabilities())
        if self.precision == "int8" and options.clips is None:
            raise DeviceError("int8 needs clips to calibrate on")
        self.details: About = {}
        self._model, self._options, self._threads = model, options, threads
        self._ports = ports(model.architecture)

    def versions(self) -> list[str]:
        """See ``Compiler``."""
        own = f"openvino {load_package('openvino').get_version()}"
        return [own, *quantise.versions()] if self.precision == "int8" else [own]

    def compile(self, model: "TemporalKVQResNetCBAM", size: Size) -> Compiled:
        """See ``Compiler``."""
        from pipeline.runtime.exported.convert import to_openvino  # slow: imports torch

        step = to_openvino(model, size, pixels=True, streams=1)
        if self.precision == "int8":
            step = self._in_int8(step, size)
        answer = cut_answer(openvino_answer, step, self._ports, self._options)
        if self.precision == "bf16":
            if answer is None:
                raise DeviceError(f"{self._options.name}: can't run in bf16: choose precision fp32")
            step = openvino_encoder(step, self._ports)
        graphs = [graph for graph in (step, answer) if graph]
        compiled = [self._compiled(graph, part) for part, graph in enumerate(graphs)]
        return Compiled(self._graphs(*compiled), [graph.export_model().getvalue() for graph in compiled])

    def restore(self, parts: list[bytes]) -> Graphs | None:
        """See ``Compiler``."""
        core = load_package("openvino").Core()
        try:
            return self._graphs(
                *(core.import_model(data, "CPU", self._settings(part)) for part, data in enumerate(parts))
            )
        except RuntimeError:
            return None

    def _compiled(self, graph: Any, part: int = 0) -> Any:
        return load_package("openvino").Core().compile_model(graph, "CPU", self._settings(part))

    def _settings(self, part: int) -> dict[str, Any]:
        """Settings of the first graph or of the answer graph."""
        return openvino_options(self._threads, self.precision if part == 0 else "fp32")

    def _graphs(self, step: Any, answer: Any = None) -> Graphs:
        names = self._ports
        known = _in_turns(answer, (*names.features, *names.state), names.answer) if answer else None
        if self.precision != "bf16":
            return Graphs(_in_turns(step, names.inputs, (*names.answer, *names.kept)), known)
        encode = _in_turns(step, names.inputs, names.kept)
        assert known is not None

        def run(arrays: Sequence[Array]) -> list[Array]:
            kept = encode(arrays)
            return [*known([*kept[len(names.state) :], *arrays[1:]]), *kept]

        return Graphs(run, known)

    def _in_int8(self, step: Any, size: Size) -> Any:
        """The step calibrated on clips, after a check that it answers other clips as float32 does."""
        architecture, options = self._model.architecture, self._options
        empty = ArrayState(architecture, size).gather([[None] * architecture.num_past])
        make_clips = options.clips
        assert make_clips is not None

        def clips(count: int, seed: int) -> list[Array]:
            made = make_clips(max(size), architecture.num_past, count, seed)
            return list(quantise.cropped(made.frames, size))

        calibrating = f"int8: calibrating on {quantise.CALIBRATION_CLIPS} clips"
        options.log(f"{calibrating}: rendering them")
        frames = clips(quantise.CALIBRATION_CLIPS, quantise.CALIBRATION_SEED)
        options.log(f"{calibrating}: choosing the ranges of all layers (takes minutes)")
        _, feeds = quantise.play(self._compiled(step), frames, empty, self._ports)
        rough = quantise.quantise(step, feeds)
        frames = clips(_CHECKED_CLIPS, quantise.HELD_OUT_SEED)
        exact, found = (
            quantise.play(self._compiled(one), frames, empty, self._ports)[0] for one in (step, rough)
        )
        share = quantise.agreement(exact, found)
        if share < options.least_agreement:
            raise DeviceError(
                f"{options.name}: int8 gives a different answer than float32 for {1 - share:.0%} of the clips"
                ": choose precision fp32"
            )
        options.log(f"int8: same answer as float32 for {share:.0%} of {_CHECKED_CLIPS} other clips")
        return rough


def _in_turns(compiled: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Graph:
    """Wraps a compiled graph for one stream as a graph for any number of streams."""
    request = compiled.create_infer_request()

    def run(arrays: Sequence[Array]) -> list[Array]:
        rows, alone = [], len(arrays[0]) == 1
        for row in range(len(arrays[0])):
            feed = {name: part[row : row + 1] for name, part in zip(inputs, arrays, strict=True)}
            found = request.infer(feed, share_inputs=True, share_outputs=alone)
            rows.append([found[name] for name in outputs])
        return rows[0] if alone else [np.concatenate(parts) for parts in zip(*rows, strict=True)]

    return run
