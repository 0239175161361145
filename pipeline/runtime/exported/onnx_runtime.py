"""The model's step on ONNX Runtime: on a CPU, or on a GPU through CUDA or TensorRT."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.packages import load_package, package_version
from pipeline.model.device import DeviceError
from pipeline.runtime.exported.answer import onnx_answer
from pipeline.runtime.exported.convert import export_onnx
from pipeline.runtime.exported.graph_runtime import Array, ExportedRuntime, Graph, Say

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class ONNXRuntime(ExportedRuntime):
    """See ``ExportedRuntime``; all streams of a batch go through the graph together.

    Args:
        model: See there.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        precision: ``auto`` or ``fp32``.
        threads: See there.
        name: See there.
        provider: What runs the graph: ``cpu``, ``cuda``, ``tensorrt``, or ``auto``: by device.
        say: See there.

    Raises:
        DeviceError: The provider is not there or does not start. It never falls back to the CPU.
        MissingPackageError: ONNX Runtime is not installed.
    """

    backend = "onnxruntime"

    def __init__(
        self,
        model: "TemporalKVQResNetCBAM | Path",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        name: str = "model",
        *,
        provider: str = "auto",
        say: Say = print,
    ) -> None:
        self._provider = provider
        super().__init__(model, device, precision, threads, name, say=say)

    def describe(self) -> dict[str, str | int | float]:
        """See ``Runtime``."""
        return super().describe() | {"provider": self._provider}

    def _pick(self, device: str) -> str:
        on_gpu = device.startswith("cuda")
        if self._provider == "auto":
            self._provider = "cuda" if on_gpu else "cpu"
        if self._provider not in PROVIDERS:
            raise DeviceError(f"provider {self._provider!r}: choose auto, {', '.join(PROVIDERS)}")
        if device != "auto" and on_gpu != (self._provider != "cpu"):
            raise DeviceError(f"provider {self._provider} does not run on device {device}: choose auto")
        _need_provider(self._provider)
        if self._provider == "cpu":
            return "cpu"
        return device if ":" in device else "cuda:0"

    def _versions(self) -> list[str]:
        own = f"onnxruntime {load_package('onnxruntime', 'onnx').__version__}"
        return [own, package_version("onnx"), package_version("onnxscript")]

    def open_session(self, model: bytes) -> Any:
        """An ONNX model on the provider of this runtime.

        Raises:
            DeviceError: The provider is there but does not start.
        """
        package: Any = load_package("onnxruntime", "onnx")
        options = package.SessionOptions()
        options.intra_op_num_threads = self._thread_count
        options.inter_op_num_threads = 1
        # Threads that wait by spinning take the cores from the other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        wanted = PROVIDERS[self._provider]
        providers: list[Any] = [wanted]
        if self._provider != "cpu":
            providers = [(wanted, {"device_id": int(self.device.rpartition(":")[2])}), PROVIDERS["cpu"]]
        session = package.InferenceSession(model, options, providers=providers)
        session.disable_fallback()
        if session.get_providers()[0] != wanted:
            raise DeviceError(
                f"onnxruntime offers {wanted} but can't start it, and would run on the CPU: its GPU "
                "libraries don't fit this machine (see what it says above); mend them, or choose device cpu"
            )
        return session

    def _restore(self, *stored: bytes) -> bool:
        self._open(*stored)
        return True

    def _compile(self, model: "TemporalKVQResNetCBAM") -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "step.onnx"
            export_onnx(model, path, pixels=True)
            step = path.read_bytes()
        answer = self._cut(onnx_answer, step)
        graphs = [step, answer] if answer else [step]
        self._open(*graphs)
        return graphs

    def _open(self, step: bytes, answer: bytes = b"") -> None:
        self._step, self._answer = self._graph(step), self._graph(answer) if answer else None

    def _graph(self, model: bytes) -> Graph:
        session = self.open_session(model)
        inputs, outputs = (
            [port.name for port in ports] for ports in (session.get_inputs(), session.get_outputs())
        )

        def run(arrays: Sequence[Array]) -> list[Array]:
            found: list[Array] = session.run(outputs, dict(zip(inputs, arrays, strict=True)))
            return found

        return run


def _need_provider(provider: str) -> None:
    """Refuses what this ONNX Runtime was built without: it would silently run on the CPU."""
    offered = load_package("onnxruntime", "onnx").get_available_providers()
    if PROVIDERS[provider] not in offered:
        raise DeviceError(
            f"onnxruntime here has no {PROVIDERS[provider]}, only {', '.join(offered)}: "
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu, which comes with CUDA and TensorRT"
        )
