"""Time by kind of operator, of a step and a plain ResNet: ``python -m benchmarks.operators --json FILE``.

Both run in OpenVINO. Each operator's time is the minimum over many runs, because other programs can only
increase it; times are summed by kind.
"""

import argparse
import json
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

from benchmarks.machine import describe_machine
from pipeline.base.packages import load_package
from pipeline.model.network import TemporalKVQResNetCBAM
from pipeline.runtime.exported.convert import to_openvino

_RUNS = 40
_NAMES = {
    "Convolution": "convolutions",
    "FullyConnected": "matrix products with weights",
    "MatMul": "attention products",
    "ReduceMean": "means",
    "ReduceMax": "maxima",
    "Subgraph": "gates applied, sums, rectifiers",
    "Transpose": "transposes and layouts",
    "Reorder": "transposes and layouts",
}


def profile(model: Any, feed: dict[str, Any]) -> dict[str, float]:
    """Milliseconds by kind of operator."""
    core = load_package("openvino").Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "PERF_COUNT": True}
    request = core.compile_model(model, "CPU", options).create_infer_request()
    least: dict[tuple[str, str], float] = {}
    for _ in range(_RUNS):
        request.infer(feed)
        for part in request.profiling_info:
            key = part.node_name, part.node_type
            least[key] = min(least.get(key, 1e9), part.real_time.total_seconds() * 1e3)
    found: dict[str, float] = defaultdict(float)
    for (_, kind), time_ms in least.items():
        found[_NAMES.get(kind, "other")] += time_ms
    return found


def main() -> None:
    """Prints a Markdown table and stores the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    depth, rng = options.depth, np.random.default_rng(0)
    model = TemporalKVQResNetCBAM(depth=depth, num_classes=1000).eval()
    step = to_openvino(model, pixels=True)
    step.reshape({port.any_name: [1, *list(port.partial_shape)[1:]] for port in step.inputs})
    pixels = rng.integers(0, 256, (1, 224, 224, 3), np.uint8)
    state = {
        name: part.numpy()
        for name, part in zip(("keys", "values", "valid"), model.init_state(1).parts(), strict=True)
    }
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        resnet = torchvision.models.get_model(f"resnet{depth}", weights=None).eval()
        blank = torch.zeros(1, 3, 224, 224)
        plain = load_package("openvino").convert_model(torch.export.export(resnet, (blank,)))
    plain.inputs[0].get_tensor().set_names({"frame"})
    columns = [profile(step, {"frame": pixels, **state}), profile(plain, {"frame": blank.numpy()})]
    print(f"| ms, ResNet-{depth} | step | plain |\n|---|---|---|")
    for kind in sorted({*columns[0], *columns[1]}, key=lambda kind: -columns[0][kind]):
        print(f"| {kind} | {columns[0][kind]:.2f} | {columns[1][kind]:.2f} |")
    print(f"| **total** | {sum(columns[0].values()):.2f} | {sum(columns[1].values()):.2f} |")
    if options.json:
        ms = {
            name: {kind: round(time_ms, 3) for kind, time_ms in column.items()}
            for name, column in zip(("step", "plain"), columns, strict=True)
        }
        result = {"machine": describe_machine(), "depth": depth, "size_px": 224, "runs": _RUNS, "ms": ms}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
