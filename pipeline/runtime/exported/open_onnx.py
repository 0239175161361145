"""Opens the step on ONNX Runtime: CPU, CUDA or TensorRT."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.packages import load_package, package_version
from pipeline.model.description import Description
from pipeline.model.device import DeviceError
from pipeline.model.preprocessing import Size
from pipeline.runtime.base import Runtime
from pipeline.runtime.engine import About
from pipeline.runtime.exported.answer_graph import onnx_answer
from pipeline.runtime.exported.array_state import Array
from pipeline.runtime.exported.exported_engine import Graph, Graphs
from pipeline.runtime.exported.open_exported import Compiled, cut_answer, open_exported, pick_precision
from pipeline.runtime.exported.ports import ports
from pipeline.runtime.runtime_options import Options

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


def open_onnx(model: "TemporalKVQResNetCBAM | Path", options: Options | None = None) -> Runtime:
    """The runtime on ONNX Runtime, see ``open_exported``.

    All streams of a batch are computed together.

    Raises:
        CheckpointError: See ``open_exported``.
        DeviceError: A precision other than ``fp32``, or the provider is missing or does not start. There
            is no fallback to the CPU.
        MissingPackageError: ONNX Runtime is not installed.
    """
    return open_exported(model, options or Options(), _Compiler)


def open_session(model: bytes, provider: str, device: str, threads: int) -> Any:
    """Opens an ONNX model.

    Args:
        model: The content of its file.
        provider: One of ``PROVIDERS``.
        device: ``cpu`` or ``cuda:N``.
        threads: CPU threads.

    Raises:
        DeviceError: The provider is installed but does not start.
    """
    package: Any = load_package("onnxruntime")
    options = package.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take the cores from the other workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = PROVIDERS[provider]
    providers: list[Any] = [wanted]
    if provider != "cpu":
        providers = [(wanted, {"device_id": int(device.rpartition(":")[2])}), PROVIDERS["cpu"]]
    session = package.InferenceSession(model, options, providers=providers)
    session.disable_fallback()
    if session.get_providers()[0] != wanted:
        raise DeviceError(
            f"onnxruntime has {wanted} but can't start it, and would run on the CPU: its GPU libraries are "
            "not compatible with this machine (see its message above); fix them, or choose device cpu"
        )
    return session


class _Compiler:
    """See ``Compiler``."""

    backend = "onnxruntime"

    def __init__(self, model: Description, options: Options, threads: int) -> None:
        self.precision = pick_precision(self.backend, ("fp32",), options.precision)
        self._provider, self.device = _pick_provider(options.provider, options.device)
        self.details: About = {"provider": self._provider}
        self._options, self._threads = options, threads
        self._ports = ports(model.architecture)

    def versions(self) -> list[str]:
        """See ``Compiler``."""
        own = f"onnxruntime {load_package('onnxruntime').__version__}"
        return [own, package_version("onnx"), package_version("onnxscript")]

    def compile(self, model: "TemporalKVQResNetCBAM", size: Size) -> Compiled:
        """See ``Compiler``."""
        from pipeline.runtime.exported.convert import export_onnx  # slow: imports torch

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "step.onnx"
            export_onnx(model, path, size, pixels=True)
            step = path.read_bytes()
        answer = cut_answer(onnx_answer, step, self._ports, self._options)
        parts = [step, answer] if answer else [step]
        return Compiled(self.restore(parts), parts)

    def restore(self, parts: list[bytes]) -> Graphs:
        """See ``Compiler``."""
        step, *answer = (self._graph(part) for part in parts)
        return Graphs(step, answer[0] if answer else None)

    def _graph(self, model: bytes) -> Graph:
        session = open_session(model, self._provider, self.device, self._threads)
        inputs, outputs = (
            [port.name for port in ports] for ports in (session.get_inputs(), session.get_outputs())
        )

        def run(arrays: Sequence[Array]) -> list[Array]:
            found: list[Array] = session.run(outputs, dict(zip(inputs, arrays, strict=True)))
            return found

        return run


def _pick_provider(provider: str, device: str) -> tuple[str, str]:
    """Resolves the names of provider and device.

    Raises:
        DeviceError: They do not match, or this ONNX Runtime was built without the provider and would silently
            run on the CPU.
    """
    on_gpu = device.startswith("cuda")
    if provider == "auto":
        provider = "cuda" if on_gpu else "cpu"
    if provider not in PROVIDERS:
        raise DeviceError(f"provider {provider!r}: choose auto, {', '.join(PROVIDERS)}")
    if device != "auto" and on_gpu != (provider != "cpu"):
        raise DeviceError(f"provider {provider} does not run on device {device}: choose auto")
    offered = load_package("onnxruntime").get_available_providers()
    if PROVIDERS[provider] not in offered:
        raise DeviceError(
            f"the installed onnxruntime has no {PROVIDERS[provider]}, only {', '.join(offered)}: run "
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu, which comes with CUDA and TensorRT"
        )
    if provider == "cpu":
        return "cpu", "cpu"
    return provider, device if ":" in device else "cuda:0"
