"""Tables of evaluation metrics."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.training.evaluation.dense_tables import render_dense
from pipeline.training.evaluation.metrics import Report, recalls


def render_evaluation(metrics: Report) -> RenderableType:
    """Tables of all sections of a report of `evaluate`."""
    parts: list[RenderableType] = []
    if metrics.get("pictures"):
        parts += [*_pictures(metrics["pictures"]), ""]
    if metrics.get("videos"):
        parts += [*_videos(metrics["videos"]), ""]
    if metrics.get("data"):
        parts += [*_data(metrics["data"]), ""]
    parts += render_dense(metrics)
    for title, matrix in confusions(metrics).items():
        parts += [_confusion(title, matrix, metrics["labels"]), ""]
    return Group(*parts[:-1])


def confusions(metrics: Report) -> dict[str, list[list[int]]]:
    """The confusion matrices to show, by title, with those of all videos summed."""
    found: dict[str, list[list[int]]] = {}
    if metrics.get("pictures"):
        for speed, scored in metrics["pictures"]["speeds"].items():
            found[f"rendered clips at {speed}x"] = scored["confusion"]
    for video in metrics.get("videos", []):
        if video["as_it_is"]:
            _add(found, "unmodified video", video["as_it_is"]["confusion"])
        for speed, scored in (video["virtual_camera"] or {"speeds": {}})["speeds"].items():
            _add(found, f"virtual camera at {speed}x", scored["confusion"])
    if metrics.get("data"):
        found["recorded clips"] = metrics["data"]["confusion"]
    return found


def _add(found: dict[str, list[list[int]]], title: str, confusion: list[list[int]]) -> None:
    before = found.get(title, [[0] * len(confusion)] * len(confusion))
    pairs = zip(before, confusion, strict=True)
    found[title] = [[a + b for a, b in zip(*rows, strict=True)] for rows in pairs]


def _pictures(report: Report) -> list[RenderableType]:
    table = Table(title=f"{report['samples']} rendered clips for each row; images: {report['pictures']}")
    for heading in ("", "accuracy", "macro-F1"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("all speeds", f"{report['accuracy']:.4f}", f"{report['macro_f1']:.4f}")
    for speed, scored in report["speeds"].items():
        table.add_row(f"speed {speed}x", f"{scored['accuracy']:.4f}", f"{scored['macro_f1']:.4f}")
    for control, accuracy in report["controls"].items():
        table.add_row(f"control: {control.replace('_', ' ')}", f"{accuracy:.4f}", "")
    return [table, _footer(report)]


def _data(report: Report) -> list[RenderableType]:
    table = Table(title=f"{report['windows']} windows of {report['clips']} recorded clips")
    for heading in ("", "accuracy", "macro-F1"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("unmodified", f"{report['accuracy']:.4f}", f"{report['macro_f1']:.4f}")
    for control, accuracy in report["controls"].items():
        table.add_row(f"control: {control.replace('_', ' ')}", f"{accuracy:.4f}", "")
    table.add_row("always the most frequent class", f"{report['majority_accuracy']:.4f}", "")
    return [table, _footer(report)]


def _footer(report: Report) -> Text:
    lines = [_calibration(report["calibration"])]
    if "streaming" in report:
        difference = report["streaming"]["max_difference"]
        lines.append(f"streaming and whole clips: logits differ by at most {difference:.1e}")
    return Text("\n".join(lines))


def _calibration(report: Report) -> str:
    folded = report["temperature"]
    was = "never calibrated" if folded is None else f"calibrated with temperature {folded:.3g}"
    text = (
        f"calibration error {report['expected_calibration_error']:.4f}, "
        f"negative log likelihood {report['negative_log_likelihood']:.4f} ({was}"
    )
    if "refitted" in report:
        refitted = report["refitted"]
        error = refitted["expected_calibration_error"]
        text += f"; refitted here with temperature {refitted['temperature']:.3g}: {error:.4f}"
    return text + ")"


def _videos(videos: Sequence[Report]) -> list[RenderableType]:
    table = Table(title=f"Unmodified video, frames {videos[0]['spacing_ms']:g} ms apart")
    table.add_column("file", overflow="fold")
    for heading in ("windows", "unsure", "moving", "correct", "static", "correct"):
        table.add_column(heading, justify="right")
    for video in videos:
        truth = video["truth"]
        moving, still = _right(video)
        table.add_row(
            video["file"] + (f" (first {video['frames']} frames)" if video["cut"] else ""),
            str(truth["windows"]),
            str(truth["unsure"]),
            str(truth["windows"] - truth["unsure"] - truth["static"]),
            moving,
            str(truth["static"]),
            still,
        )
    note = Text(
        "correct: among the scored windows (at most --samples for each class)\n"
        "unsure: the classical estimate has no label; these windows are skipped"
    )
    at_rest = [video["file"] for video in videos if video["still"]]
    if at_rest:
        files = ", ".join(at_rest)
        note.append(f", except for {files}: the camera never moves, so all windows are scored as static")
    return [table, note, *_virtual(videos)]


def _virtual(videos: Sequence[Report]) -> list[RenderableType]:
    filmed = [(video["file"], video["virtual_camera"]) for video in videos if video["virtual_camera"]]
    if not filmed:
        return [Text("virtual camera: skipped, because the real camera is not at rest in any window")]
    speeds = list(filmed[0][1]["speeds"])
    table = Table(title="Virtual moving camera over the windows in which the real one is at rest: macro-F1")
    table.add_column("file", overflow="fold")
    for heading in ("at rest", "clips", *(f"{speed}x" for speed in speeds)):
        table.add_column(heading, justify="right")
    for file, report in filmed:
        scored = [report["speeds"][speed] for speed in speeds]
        metrics = [f"{each['macro_f1']:.4f}" for each in scored]
        table.add_row(file, str(report["windows"]), str(scored[0]["clips"]), *metrics)
    note = "clips: for each speed, over all classes; macro-F1 is the mean over the classes that occur"
    return ["", table, Text(note)]


def _right(video: Report) -> tuple[str, str]:
    """Correct predictions in scored windows with a moving camera, and with a static one."""
    if not video["as_it_is"]:
        return "-", "-"
    confusion, labels = video["as_it_is"]["confusion"], video["labels"]
    static = labels.index("static")
    moving = [i for i in range(len(labels)) if i != static]
    asked = sum(sum(confusion[i]) for i in moving)
    right = sum(confusion[i][i] for i in moving)
    asked_still, right_still = sum(confusion[static]), confusion[static][static]
    return (
        f"{right} of {asked}" if asked else "-",
        f"{right_still} of {asked_still}" if asked_still else "-",
    )


def _confusion(title: str, confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> Table:
    """Rows are the true classes, columns the predicted ones, numbered like the rows."""
    table = Table(title=f"Predictions by class, {title}")
    table.add_column("truth")
    for number in range(1, len(labels) + 1):
        table.add_column(str(number), justify="right")
    table.add_column("correct", justify="right")
    for number, (label, row, share) in enumerate(zip(labels, confusion, recalls(confusion), strict=True)):
        counts = [Text(str(n) if n else "", "bold" if i == number else "") for i, n in enumerate(row)]
        table.add_row(Text(f"{number + 1} {label}"), *counts, "-" if share is None else f"{share:.1%}")
    return table
