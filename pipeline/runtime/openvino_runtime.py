"""The model's step on OpenVINO, on a CPU."""

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.model.export import INPUTS, OUTPUTS, to_openvino
from pipeline.model.packages import load_package
from pipeline.runtime.exported import Array, ExportedRuntime

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM


class OpenVINORuntime(ExportedRuntime):
    """See ``ExportedRuntime``.

    The step is compiled for one stream, and the streams of a batch take turns: on a CPU a batch is no
    faster, and a graph for any batch is slower for one stream.
    """

    backend = "openvino"

    def _versions(self) -> list[str]:
        return [f"openvino {load_package('openvino', 'openvino').get_version()}"]

    def _restore(self, stored: bytes) -> bool:
        try:
            compiled = self._core().import_model(stored, "CPU", self._options())
        except RuntimeError:
            return False
        self._request = compiled.create_infer_request()
        return True

    def _compile(self, model: "TemporalKVQResNetCBAM") -> bytes:
        step = to_openvino(model, pixels=True)
        step.reshape({port.any_name: [1, *list(port.partial_shape)[1:]] for port in step.inputs})
        compiled = self._core().compile_model(step, "CPU", self._options())
        self._request = compiled.create_infer_request()
        exported: bytes = compiled.export_model().getvalue()
        return exported

    def _run(self, *inputs: Array) -> list[Array]:
        rows = []
        for row in range(len(inputs[0])):
            feed = {name: part[row : row + 1] for name, part in zip(INPUTS, inputs, strict=True)}
            found = self._request.infer(feed, share_inputs=True, share_outputs=False)
            rows.append([found[name] for name in OUTPUTS])
        return rows[0] if len(rows) == 1 else [np.concatenate(parts) for parts in zip(*rows, strict=True)]

    def _core(self) -> Any:
        return load_package("openvino", "openvino").Core()

    def _options(self) -> dict[str, Any]:
        return {
            "INFERENCE_NUM_THREADS": self._thread_count,
            "INFERENCE_PRECISION_HINT": "f32",  # some processors would otherwise compute in bf16
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # other workers need the same cores
        }
