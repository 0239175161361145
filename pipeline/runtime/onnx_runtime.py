"""The model's step on ONNX Runtime, on a CPU."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.model.export import INPUTS, export_onnx
from pipeline.model.packages import load_package
from pipeline.runtime.exported import Array, ExportedRuntime

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM


class ONNXRuntime(ExportedRuntime):
    """See ``ExportedRuntime``; all streams of a batch go through the graph together."""

    backend = "onnxruntime"

    def _versions(self) -> list[str]:
        return [f"onnxruntime {load_package('onnxruntime', 'onnx').__version__}"]

    def _restore(self, stored: bytes) -> bool:
        package: Any = load_package("onnxruntime", "onnx")
        options = package.SessionOptions()
        options.intra_op_num_threads = self._thread_count
        options.inter_op_num_threads = 1
        # Threads that wait by spinning take the cores from the other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = package.InferenceSession(stored, options, providers=["CPUExecutionProvider"])
        return True

    def _compile(self, model: "TemporalKVQResNetCBAM") -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "step.onnx"
            export_onnx(model, path, pixels=True)
            step = path.read_bytes()
        self._restore(step)
        return step

    def _run(self, *inputs: Array) -> list[Array]:
        outputs: list[Array] = self._session.run(None, dict(zip(INPUTS, inputs, strict=True)))
        return outputs
