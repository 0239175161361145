"""Start-up time by parts, until the first prediction: ``python -m benchmarks.start --json FILE``.

Each start is a separate process. The parts are those of the inference worker: imports, then the model. The
first process may have to prepare the model; its times are discarded.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import describe_machine

_ROUNDS = 5
_LAPS = """
import json, sys, time
marks = [("", time.perf_counter())]
def lap(name):
    marks.append((name, time.perf_counter()))
import cv2, numpy
lap("import of numpy and cv2")
if sys.argv[1] == "torch":
    import torch
lap("import of torch")
import workers.inference
lap("import of the rest of the worker")
from pipeline.runtime.open_runtime import open_runtime
from pipeline.runtime.runtime_options import Options
quiet = Options(device="cpu", report=lambda line: None)
runtime = open_runtime("motion_resnet18", quiet, backend=sys.argv[1])
lap("open the model")
blank = numpy.zeros((480, 640, 3), numpy.uint8)
runtime.infer([blank], [[None] * runtime.num_past])
lap("first prediction")
runtime.warm_up()
lap("warm up")
pairs = zip(marks, marks[1:])
print(json.dumps({name: (end - start) * 1e3 for (_, start), (name, end) in pairs}))
"""


def measure(backend: str) -> dict[str, float]:
    """Median milliseconds of each part over several fresh processes, with everything already on disk."""
    rounds = []
    for _ in range(_ROUNDS + 1):
        command = [sys.executable, "-c", _LAPS, backend]
        ended = subprocess.run(command, check=True, capture_output=True, text=True)
        rounds.append(json.loads(ended.stdout))
    return {name: statistics.median(one[name] for one in rounds[1:]) for name in rounds[0]}


def main() -> None:
    """Prints a Markdown table and stores the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", nargs="+", default=["openvino", "torch"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {backend: measure(backend) for backend in options.backend}
    parts = list(next(iter(found.values())))
    print(f"| ms | {' | '.join(found)} |")
    print(f"|---|{'---|' * len(found)}")
    for part in parts:
        print(f"| {part} | {' | '.join(f'{times[part]:.0f}' for times in found.values())} |")
    totals = [sum(times.values()) for times in found.values()]
    print(f"| **total** | {' | '.join(f'{total:.0f}' for total in totals)} |")
    if options.json:
        ms = {
            name: {part: round(time_ms, 1) for part, time_ms in times.items()}
            for name, times in found.items()
        }
        result = {"machine": describe_machine(), "rounds": _ROUNDS, "ms": ms}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
