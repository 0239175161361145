"""Opens an exported step from the cache, or exports, compiles and caches it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from pipeline.base.stage_lines import stage
from pipeline.model.description import Description, describe_checkpoint
from pipeline.model.device import DeviceError
from pipeline.model.preprocessing import Size
from pipeline.model.shipped import CheckpointError
from pipeline.runtime.base import Runtime
from pipeline.runtime.engine import About
from pipeline.runtime.exported.answer_graph import CutError
from pipeline.runtime.exported.exported_engine import ExportedEngine, Graphs
from pipeline.runtime.exported.model_cache import CachedModel
from pipeline.runtime.exported.ports import Ports
from pipeline.runtime.runtime_options import Options

if TYPE_CHECKING:
    from pipeline.model.network import TemporalKVQResNetCBAM

Cut = TypeVar("Cut")


class Compiled(NamedTuple):
    """The graphs, and the data from which ``Compiler.restore`` rebuilds them at the next start."""

    graphs: Graphs
    parts: list[bytes]


class Compiler(Protocol):
    """A library that compiles and runs an exported step.

    Attributes:
        backend: Name of the library, as in the settings.
        device: Device of the step in torch's notation.
        precision: Its precision.
        details: Further facts worth showing.
    """

    backend: str
    device: str
    precision: str
    details: About

    def versions(self) -> list[str]:
        """Names and versions of everything that compiles and runs the step, the backend first."""
        ...

    def compile(self, model: "TemporalKVQResNetCBAM", size: Size) -> Compiled:
        """Exports the step for an image size, extracts its answer, and compiles both."""
        ...

    def restore(self, parts: list[bytes]) -> Graphs | None:
        """Rebuilds the graphs from the stored parts of ``compile``; None if that is not possible."""
        ...


def open_exported(
    model: "TemporalKVQResNetCBAM | Path",
    options: Options,
    start: Callable[[Description, Options, int], Compiler],
) -> Runtime:
    """The runtime for a network or a checkpoint.

    Graphs compiled for a file are cached on disk; a start that finds them needs neither the network nor its
    weights.

    Args:
        model: A network on the CPU, or a checkpoint's file.
        options: Options.
        start: Creates the compiler for a model; the last argument is the number of threads.

    Raises:
        CheckpointError: The checkpoint cannot be used, or was replaced while it was being read.
        DeviceError: The backend does not support the device or precision.
        MissingPackageError: The backend is not installed.
    """
    about = describe_checkpoint(model) if isinstance(model, Path) else model.description
    about = replace(about, preprocessing=options.preprocessing(about.preprocessing))
    threads = options.cpu_threads
    compiler = start(about, options, threads)
    cache = None
    if isinstance(model, Path):
        cache = CachedModel(model, [*compiler.versions(), compiler.precision])

    def engine(size: Size) -> ExportedEngine:
        return ExportedEngine(
            _stored_or_compiled(model, size, compiler, cache, options),
            about,
            size,
            backend=compiler.backend,
            device=compiler.device,
            precision=compiler.precision,
            threads=threads,
            details=compiler.details,
        )

    return Runtime(about, engine, options.name, options.why)


def pick_precision(backend: str, known: tuple[str, ...], precision: str) -> str:
    """The precision of a backend; ``auto`` is the first it supports.

    Raises:
        DeviceError: The backend does not support it.
    """
    if precision not in ("auto", *known):
        raise DeviceError(f"backend {backend} supports {', '.join(known)}, not {precision}: choose auto")
    return known[0] if precision == "auto" else precision


def cut_answer(cut: Callable[[Any, Ports], Cut], step: Any, ports: Ports, options: Options) -> Cut | None:
    """The answer graph; None, with a message, if it cannot be extracted: all images then run a full step."""
    try:
        return cut(step, ports)
    except CutError as error:
        options.log(f"unchanged images are computed like new ones: {error}")
        return None


def _stored_or_compiled(
    model: "TemporalKVQResNetCBAM | Path",
    size: Size,
    compiler: Compiler,
    cache: CachedModel | None,
    options: Options,
) -> Graphs:
    if cache and (stored := cache.load(size)) and (graphs := compiler.restore(stored)):
        return graphs
    rows, columns = size
    where = f"{compiler.backend} in {compiler.precision}"
    what = f"preparing for {where}, for images of {columns}x{rows} px, once per machine"
    with stage(what, options.log):
        loaded = _loaded(model)
        if cache and not cache.is_current():
            raise CheckpointError(f"{model}: was replaced while it was being read; start again")
        compiled = compiler.compile(loaded, size)
    if cache and (problem := cache.store(size, compiled.parts)):
        options.log(f"prepared, but can't be cached for the next start: {problem}")
    return compiled.graphs


def _loaded(model: "TemporalKVQResNetCBAM | Path") -> "TemporalKVQResNetCBAM":
    if not isinstance(model, Path):
        return model
    from pipeline.model.checkpoint import load_checkpoint  # slow: imports torchvision

    return load_checkpoint(model)
