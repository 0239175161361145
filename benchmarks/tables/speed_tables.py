"""Tables of speed: steps, the whole pipeline, transports, starts, many streams."""

from typing import Any

from benchmarks.almost_equal import markdown as almost_equal_rows
from benchmarks.tables.result_files import Tables, goal, read, read_lines, source, table

_WHO = {"pipeline": "KVQ Stream", "webcam_demo": "single-process webcam demo"}
_RUNTIMES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "torch": "torch"}
_STAGES = {
    "capture_queue": "wait in capture",
    "encode": "packing or encoding",
    "wire": "on the wire (including frames dropped later)",
    "inference_queue": "wait in inference",
    "before_step": "from capture to the start of the step (predicted frames)",
    "step": "resize, network, probabilities",
    "draw": "drawing the overlay",
    "output": "recording and sending to the page",
}
_EVENT_STAGES = {
    "things": "from network output to moving objects and camera motion",
    "home": "tracking the reference view",
    "rules": "10 zones, 5 lines, 20 rules",
    "health": "image health at 640x480",
    "log": "packing the motion log",
    "store": "store thread: queue, packing, SQLite",
}


def end_to_end() -> str:
    """The pipeline and the webcam demo at both rates."""
    medians = read("end_to_end")["medians"]
    columns = "predictions_per_s", "age_p50_ms", "age_p95_ms", "age_p99_ms", "cpu_ms_per_prediction"
    rows = [
        [f"{rate} fps", _WHO[who], *(f"{medians[rate][who][name]:.1f}" for name in columns)]
        for rate in ("30", "150")
        for who in _WHO
    ]
    head = ["source", "", "predictions/s", "p50 ms", "p95 ms", "p99 ms", "CPU ms per prediction"]
    return table(head, rows, 2) + source("end_to_end.json", about="ResNet-18 with dense motion, 192x192")


def end_to_end_goals() -> str:
    """The goals, and whether they were met."""
    medians = read("end_to_end")["medians"]
    both = [medians[rate]["pipeline"] for rate in ("30", "150")]

    def row(text: str, name: str, most: float) -> list[str]:
        return [text, *(f"{one[name]:.1f}, {goal(one[name] <= most)}" for one in both)]

    rate = [f"{one['predictions_per_s']:.1f}, {goal(one['predictions_per_s'] >= 30)}" for one in both]
    rows = [
        ["at least 30 predictions/s", *rate],
        row("p50 at most 40 ms", "age_p50_ms", 40),
        row("p99 at most 80 ms", "age_p99_ms", 80),
        row("at most 5 ms p50 from capture to the start of the step", "before_step_p50_ms", 5),
    ]
    return table(["goal on two cores", "30 fps source", "150 fps source"], rows) + source("end_to_end.json")


def end_to_end_stages() -> str:
    """The time of a frame in each stage."""
    medians = read("end_to_end")["medians"]
    rows = [
        [text, *(f"{medians[rate]['pipeline'][f'{stage}_p50_ms']:.1f}" for rate in ("30", "150"))]
        for stage, text in _STAGES.items()
    ]
    return table(["p50 in ms", "30 fps source", "150 fps source"], rows) + source("end_to_end.json")


_STEP_HEAD = ["", "runtime", "step", "unchanged frame", "plain ResNet", "three passes, eager", "step / plain",
              "three passes / step"]  # fmt: skip


def _step(about: str, row: dict[str, Any]) -> list[str]:
    spread = row["step_spread_ms"] / 2 / row["step_ms"]
    runtime = f"{_RUNTIMES[row['backend']]} {row['precision']}"
    times = [f"{row[f'{name}_ms']:.1f}" for name in ("unchanged", "plain_resnet", "guide")]
    ratios = [f"{row['step_over_plain']:.2f}", f"{row['guide_over_step']:.2f}"]
    return [about, runtime, f"{row['step_ms']:.1f} ±{spread:.0%}", *times, *ratios]


def steps() -> str:
    """Step times of networks for the nine camera motions, without dense motion, at two depths."""
    names = {"ResNet-18, 192 px": "step_resnet18_192px_cpu", "ResNet-50, 224 px": "step_resnet50_224px_cpu"}
    rows = [_step(about, row) for about, name in names.items() for row in read(name)["results"]]
    files = [f"{name}.json" for name in names.values()]
    return table(_STEP_HEAD, rows, 2) + source(*files, about=_STEP_ABOUT)


_STEP_ABOUT = "ms, one stream, medians ± half the interquartile range, from a 640x480 frame"


def steps_motion() -> str:
    """Step times of the shipped network, with dense motion."""
    files = {
        "192x192": "step_motion_cpu",
        "384x288": "step_motion_384px_cpu",
        "192x192, a CPU with bfloat16": "step_motion_bf16_cpu",
    }
    rows = [
        [*_step(about, row), f"{row['dis_ms']:.1f}"]
        for about, name in files.items()
        for row in read(name)["results"]
    ]
    head = [*_STEP_HEAD, "DIS on one core"]
    return table(head, rows, 2) + source(*(f"{name}.json" for name in files.values()), about=_STEP_ABOUT)


def step_goals() -> str:
    """The goals, and whether they were met."""
    motion = _results("step_motion_cpu", "openvino")
    deep = _results("step_resnet50_224px_cpu", "openvino")

    def row(text: str, value: float, met: bool) -> list[str]:
        return [text, f"{value:.2f}", goal(met)]

    shipped, plain = motion["fp32"]["step_over_plain"], deep["fp32"]["step_over_plain"]
    fast, faster = (deep[precision]["guide_over_step"] for precision in ("fp32", "int8"))
    rows = [
        row("shipped network, fp32: at most 1.5 times a plain ResNet-18", shipped, shipped <= 1.5),
        row("ResNet-50, fp32: at most 1.12 times a plain ResNet-50", plain, plain <= 1.12),
        row("ResNet-50, fp32: at least 4.8 times as fast as three passes in eager torch", fast, fast >= 4.8),
        row("ResNet-50, int8: at least 7.5 times as fast", faster, faster >= 7.5),
    ]
    return table(["goal on two cores, OpenVINO", "measured", ""], rows) + source(
        "step_motion_cpu.json", "step_resnet50_224px_cpu.json"
    )


def _results(name: str, backend: str) -> dict[str, dict[str, Any]]:
    return {row["precision"]: row for row in read(name)["results"] if row["backend"] == backend}


def steps_gpu() -> str:
    """Step times of the shipped network on an H200."""
    head = ["streams in one step", "step", "unchanged frames", "plain ResNet-18, CUDA graph", "step / plain",
            "three passes, eager", "DIS on one core"]  # fmt: skip
    rows = [
        [
            str(row["streams"]),
            *(f"{row[f'{name}_ms']:.1f}" for name in ("step", "unchanged", "plain_resnet")),
            f"{row['step_over_plain']:.1f}",
            *(f"{row[f'{name}_ms']:.1f}" for name in ("guide", "dis")),
        ]
        for row in read("step_motion_h200")["results"]
    ]
    return table(head, rows) + source("step_motion_h200.json", about="ms, float16, 192x192")


def scale_gpu() -> str:
    """Step times of ResNet-50 on an H100, for 1 to 128 streams."""
    head = ["streams", "GPU ms", "plain ms", "GPU / plain", "plain ms, same kernels", "frames/s (GPU)",
            "from 640x480, ms", "from 224x224, ms", "unchanged, ms"]  # fmt: skip
    rows = [
        [
            str(row["streams"]),
            *(f"{row[name]:.2f}" for name in ("device_ms", "plain_ms", "over_plain", "bare_ms")),
            f"{row['frames_a_second']:,.0f}",
            *(f"{row[name]:.2f}" for name in ("step_ms", "square_ms", "again_ms")),
        ]
        for row in read("scale_resnet50_h100")["results"]
    ]
    about = "float16, ResNet-50 at 224 px, 1000 classes, random weights"
    return table(head, rows) + source("scale_resnet50_h100.json", about=about)


def scale_gpu_goals() -> str:
    """The goals, and whether they were met."""
    document = read("scale_resnet50_h100")
    rows = {row["streams"]: row for row in document["results"]}
    one, sixteen, most = (rows[count] for count in (1, 16, 128))
    worst, memory = max(row["over_plain"] for row in rows.values()), document["memory"]
    wall = {count: rows[count]["square_ms"] for count in rows}
    megabytes = [memory[name] for name in ("device_mb_first", "device_mb_last")]
    lines = [
        _gpu_goal("1 stream: at most 0.65 ms", one["device_ms"] <= 0.65, f"{one['device_ms']:.2f} ms",
                  wall[1] <= 0.65, f"{wall[1]:.2f} ms"),
        _gpu_goal("16 streams: at most 1.5 ms", sixteen["device_ms"] <= 1.5, f"{sixteen['device_ms']:.2f} ms",
                  wall[16] <= 1.5, f"{wall[16]:.2f} ms"),
        _gpu_goal("128 streams: at least 16,000 frames/s", most["frames_a_second"] >= 16e3,
                  f"{most['frames_a_second']:,.0f}", 128e3 / wall[128] >= 16e3, f"{128e3 / wall[128]:,.0f}"),
        ["at most 1.5 times a plain ResNet-50", f"{worst:.2f}, {goal(worst <= 1.5)}", "-"],
        [f"no growth of GPU memory over {memory['steps']} steps",
         f"{megabytes[0]} and {megabytes[1]} MiB, {goal(megabytes[1] <= megabytes[0])}", "-"],
    ]  # fmt: skip
    return table(["goal", "GPU work only", "wall-clock time, from 224x224"], lines) + source(
        "scale_resnet50_h100.json"
    )


def _gpu_goal(text: str, met: bool, shown: str, met_by_wall: bool, shown_by_wall: str) -> list[str]:
    return [text, f"{shown}, {goal(met)}", f"{shown_by_wall}, {goal(met_by_wall)}"]


def almost_equal() -> str:
    """Savings and accuracy by ``inference.same_below``."""
    rows = read_lines("almost_equal")
    return almost_equal_rows(rows) + source(
        "almost_equal.jsonl", about="accuracy; in brackets: share of predictions reused from an earlier frame"
    )


def event_cost() -> str:
    """CPU time of scene and events."""
    rows = read("event_cost")["rows"]
    times = {(row["stage"], row["things"]): row["ms"] for row in rows}
    counts = sorted({row["things"] for row in rows})
    lines = [
        [text, *(f"{times[stage, count]:.2f}" for count in counts)] for stage, text in _EVENT_STAGES.items()
    ]
    sums = [sum(times[stage, count] for stage in ("things", "home", "rules", "log")) for count in counts]
    lines.append(
        [
            "scene and events (rows 1, 2, 3 and 5); goal: at most 1.5 ms",
            *(f"{one:.2f}, {goal(one <= 1.5)}" for one in sums),
        ]
    )
    head = ["CPU ms per frame", *(f"{count} moving objects" for count in counts)]
    return table(head, lines) + source("event_cost.json", about="network input 384x288, one BLAS thread")


def transport() -> str:
    """Our transports and other libraries, for two frame sizes."""
    rows = read("transport")["results"]
    sizes = sorted({(row["width"], row["height"]) for row in rows}, reverse=True)
    by_way = dict.fromkeys((row["way"], row["link"]) for row in rows)
    found = {(row["way"], row["link"], row["width"], row["height"]): row for row in rows}
    head, lines = ["transport, link"], []
    for width, height in sizes:
        head += [f"{width}x{height}: frames/s (rounds)", "CPU ms per frame", "p50 / p99 ms"]
    for way, link in by_way:
        cells = [way if way.endswith(link) else f"{way}, {link}"]
        for width, height in sizes:
            row = found[way, link, width, height]
            low, high = min(row["frames_per_s_of_rounds"]), max(row["frames_per_s_of_rounds"])
            cells += [
                f"{row['frames_per_s']:.0f} ({low:.0f} to {high:.0f})",
                f"{row['cpu_ms_per_frame']:.2f}",
                f"{row['latency_p50_ms']:.2f} / {row['latency_p99_ms']:.2f}",
            ]
        lines.append(cells)
    document = read("transport")
    about = f"medians of {document['rounds']} rounds of {document['seconds']:g} s"
    return table(head, lines) + source("transport.json", about=about)


TABLES: Tables = {
    "end_to_end": end_to_end,
    "end_to_end_goals": end_to_end_goals,
    "end_to_end_stages": end_to_end_stages,
    "steps": steps,
    "steps_motion": steps_motion,
    "step_goals": step_goals,
    "steps_gpu": steps_gpu,
    "scale_gpu": scale_gpu,
    "scale_gpu_goals": scale_gpu_goals,
    "almost_equal": almost_equal,
    "event_cost": event_cost,
    "transport": transport,
}
