"""Tables of one CPU in detail: operators, resizing in bands, number of streams, start."""

from benchmarks.tables.result_files import Tables, read, source, table


def operators() -> str:
    """Time by kind of operator."""
    document = read("operators_cpu")
    step, plain = document["ms"]["step"], document["ms"]["plain"]
    rows = [
        [kind, f"{step[kind]:.2f}", f"{plain[kind]:.2f}"] for kind in sorted(step, key=lambda k: -step[k])
    ]
    rows.append(["**all**", f"**{sum(step.values()):.2f}**", f"**{sum(plain.values()):.2f}**"])
    network = f"ResNet-{document['depth']}, {document['size_px']} px, OpenVINO fp32"
    about = f"{network}, minima of {document['runs']} runs"
    return table(["ms", "step", "plain ResNet"], rows) + source("operators_cpu.json", about=about)


def bands() -> str:
    """Time to resize with one thread and in bands."""
    document = read("bands_cpu")
    names = ("resize_ms", "resize_in_bands_ms", "step_ms", "step_in_bands_ms")
    rows = [
        [f"{row['width']}x{row['height']}", *(f"{row[name]:.2f}" for name in names)]
        for row in document["results"]
    ]
    head = ["frame", "resize, one thread", "two threads", "step, one thread", "two threads"]
    about = f"ms, ResNet-{document['depth']} of {document['size_px']} px in OpenVINO fp32"
    return table(head, rows) + source("bands_cpu.json", about=about)


def scale() -> str:
    """Time of a step with ResNet-18 on two cores, for 1 to 16 streams."""
    document = read("scale_resnet18_cpu")
    rows = [
        [
            str(row["streams"]),
            *(f"{row[name]:.1f}" for name in ("step_ms", "square_ms", "plain_ms")),
            f"{row['over_plain']:.2f}",
            f"{row['frames_a_second']:.1f}",
        ]
        for row in document["results"]
    ]
    head = ["streams in one step", "step from 640x480, ms", "from 224x224, ms", "plain ResNet-18, ms",
            "from 224x224 / plain", "frames/s"]  # fmt: skip
    about = "torch fp32, ResNet-18 of 224 px, random weights"
    return table(head, rows) + source("scale_resnet18_cpu.json", about=about)


def start() -> str:
    """Time until the first predictions, by parts."""
    document = read("start_cpu")
    ms = document["ms"]
    rows = [[part, *(f"{ms[backend][part]:.0f}" for backend in ms)] for part in next(iter(ms.values()))]
    rows.append(["**together**", *(f"**{sum(parts.values()):.0f}**" for parts in ms.values())])
    about = f"medians of {document['rounds']} starts"
    return table(["ms", *ms], rows) + source("start_cpu.json", about=about)


TABLES: Tables = {
    "operators_cpu": operators,
    "bands_cpu": bands,
    "scale_cpu": scale,
    "start_cpu": start,
}
