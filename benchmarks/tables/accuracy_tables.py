"""Tables of the shipped network's accuracy: moving objects, flow, camera, real video, demo."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from benchmarks.tables.result_files import Tables, best, read, source, table

_WEIGHTS = Path(__file__).parents[2] / "pipeline" / "model" / "weights" / "motion_resnet18.safetensors"
_IN_THE_WEIGHTS = (
    f"\n\nSource: the metadata in `pipeline/model/weights/{_WEIGHTS.name}`, written during training"
)
_CORRUPTIONS = {
    "noise": "noise, sigma 20",
    "low_light": "low light",
    "light_jump": "sudden change of light",
    "jpeg": "JPEG, quality 15",
    "h264": "H.264, CRF 32",
}
_STILL = {"noise": "noise, sigma 10", "light": "changing light", "codec": "H.264, CRF 32"}
_CONTROLS = {
    "one_past": "one past frame, 1x (accuracy)",
    "no_past": "no past frame (accuracy; chance 0.111)",
    "single_frame": "the same frame three times (accuracy; chance 0.111)",
    "reversed": "played backwards: share with the reversed label",
    "shuffled": "frames shuffled: share that keeps the original label",
}
_LEARNED = {
    4194: "camera motions",
    2659: "layered scenes, camera motions",
    5069: "objects with little texture, objects that move side by side",
    634: "expected error of the flow, trained on its actual errors",
    4593: "Lucas-Kanade steps",
    4056: "objects that the camera follows, noisy cameras, real encoders; texture at stride 2",
    4670: "small, distant objects",
}
_HANDS_MS = (100, 133, 267, 400)


def metadata() -> dict[str, Any]:
    """The metadata that the training stored in the shipped weights."""
    with safe_open(_WEIGHTS, "np") as file:
        written: dict[str, Any] = json.loads(file.metadata()["metadata"])
    return written


def moving_rows() -> dict[str, dict[str, Any]]:
    """Scores of moving pixels by sequence, and the means over DAVIS as ``davis``."""
    rows: dict[str, dict[str, Any]] = read("dense_moving")["moving"]
    davis = [row for row in rows.values() if row["kind"] == "davis"]
    return rows | {"davis": {key: float(np.mean([row[key] for row in davis])) for key in ("j", "mog2_j")}}


def moving() -> str:
    """Accuracy of the mask of moving pixels, compared with MOG2."""
    rows = moving_rows()
    highway = rows["cdnet_highway"]
    shown = best([highway["f"], highway["mog2_f"]], [f"{highway[key]:.2f}" for key in ("f", "mog2_f")])
    lines = [
        _moving_line("CDnet highway (fixed camera), F", highway, shown),
        *(
            _moving_line(f"DAVIS {name.removeprefix('davis_')} (moving camera), J", row, _js(row))
            for name, row in rows.items()
            if row.get("kind") == "davis"
        ),
        ["DAVIS, mean J", "", *_js(rows["davis"]), "", ""],
    ]
    head = ["sequence, measure", "frames", "KVQ Stream", "MOG2", "KVQ Stream precision / recall",
            "MOG2 precision / recall"]  # fmt: skip
    return table(head, lines) + source("dense_moving.json", about="frames at most 384 px wide")


def _js(row: dict[str, Any]) -> list[str]:
    return best([row["j"], row["mog2_j"]], [f"{row[key]:.2f}" for key in ("j", "mog2_j")])


def _moving_line(about: str, row: dict[str, Any], shown: Sequence[str]) -> list[str]:
    pairs = [f"{row[f'{who}precision']:.2f} / {row[f'{who}recall']:.2f}" for who in ("", "mog2_")]
    return [about, str(row["frames"]), *shown, *pairs]


def velocity_errors() -> tuple[float, float, int]:
    """Median errors of the cars' velocity, ours and that of DIS, and the number of masks."""
    row = read("dense_moving")["moving"]["cdnet_highway"]
    return row["speed_error"], row["dis_speed_error"], row["things"]


def velocity() -> str:
    """Errors of the velocity of cars, compared with DIS."""
    ours, dis, count = velocity_errors()
    shown = best([ours, dis], [f"{one:.0%}" for one in (ours, dis)], low=True)
    head = ["median velocity error", "objects", "KVQ Stream", "DIS"]
    return table(head, [["CDnet highway", str(count), *shown]]) + source("dense_moving.json")


def flow_errors() -> dict[str, tuple[float, float, float]]:
    """End-point error of this network, DIS and Farneback: ``clean``, by corruption, and ``sintel``."""
    pairs = read("dense_flow")["flow"]
    four = [row for name, row in pairs.items() if name.startswith("middlebury")]
    found = {"clean": _errors(four)} | {
        name: _errors([row["corrupted"][name] for row in four]) for name in _CORRUPTIONS
    }
    return found | {"sintel": _errors([pairs["sintel_alley_1_final"]])}


def _errors(rows: Sequence[dict[str, Any]]) -> tuple[float, float, float]:
    ours, dis, farneback = (
        float(np.mean([row[f"{who}epe"] for row in rows])) for who in ("", "dis_", "farneback_")
    )
    return ours, dis, farneback


def speed_by_size() -> str:
    """Measured speed divided by the reference, by height of the object."""
    document = read("speed_by_size")
    columns = [{row["from_px"]: row for row in document[name]} for name in ("clip", "demo")]
    lines = []
    for from_px in sorted({*columns[0], *columns[1]}):
        rows = [column.get(from_px) for column in columns]
        to_px = next(row["to_px"] for row in rows if row)
        cells = [
            f"{row['median']:.2f} ({row['p10']:.2f} to {row['p90']:.2f}; {row['count']})" if row else "-"
            for row in rows
        ]
        lines.append([f"{from_px} px and more" if to_px is None else f"{from_px} to {to_px} px", *cells])
    head = ["height in the network's input", f"`{document['clip_file']}`, real people", "walkers of the demo"]
    about = "median (10th to 90th percentile; number of windows or frames)"
    return table(head, lines) + source("speed_by_size.json", about=about)


def flow() -> str:
    """End-point errors of the flow, compared with DIS and Farneback."""
    names = {"clean": "Middlebury, four pairs"}
    names |= {name: f"Middlebury, {about}" for name, about in _CORRUPTIONS.items()}
    names["sintel"] = "Sintel alley_1, final"
    errors = flow_errors()
    rows = [
        [about, *best(errors[name], [f"{one:.2f}" for one in errors[name]], low=True)]
        for name, about in names.items()
    ]
    head = ["end-point error in px", "KVQ Stream", "DIS", "Farneback"]
    return table(head, rows) + source("dense_flow.json", about="DIS is OpenCV's, preset medium")


def uncertainty() -> str:
    """Reliability of the expected error."""
    found = read("dense_flow")["uncertainty"]
    rows = [
        ["errors below the expected error", f"{found['within']:.0%}", "63%"],
        ["errors below three times the expected error", f"{found['within_3']:.0%}", "95%"],
    ]
    return table(["", "measured", "for an exact estimate"], rows) + source("dense_flow.json")


def camera() -> str:
    """Errors of the measured motion of a hand-held camera."""
    row = read("dense_flow")["camera"]["sevenscenes"]
    lines = [
        ["similarity transform of this network", f"{row['epe']:.2f}"],
        ["similarity transform fitted to DIS flow", f"{row['dis_fit_epe']:.2f}"],
        [
            "similarity transform fitted to the ground truth: remaining error due to depth",
            f"{row['best_fit_epe']:.2f}",
        ],
        ["flow of this network", f"{row['flow_epe']:.2f}"],
        ["DIS flow", f"{row['dis_epe']:.2f}"],
    ]
    about = f"7-Scenes, {row['frames']} frames of a hand-held camera"
    return table(["median error at static points, px at a width of 320 px", ""], lines) + source(
        "dense_flow.json", about=about
    )


def still() -> str:
    """False motion in still images."""
    rows = read("dense_still")["still"]
    lines = [
        [
            about,
            f"{rows[name]['frames']:,}",
            str(rows[name]["things"]),
            *best(
                [rows[name]["false_share"], rows[name]["mog2_false_share"]],
                [f"{rows[name][key]:.1%}" for key in ("false_share", "mog2_false_share")],
                low=True,
            ),
            *(
                f"{rows[name][f'{who}_median']:.2f} / {rows[name][f'{who}_p99']:.2f}"
                for who in ("flow", "dis")
            ),
        ]
        for name, about in _STILL.items()
    ]
    head = ["still images with", "frames", "false moving objects", "frames with false motion",
            "MOG2: frames with false motion", "flow p50 / p99, px", "DIS flow p50 / p99, px"]  # fmt: skip
    return table(head, lines) + source("dense_still.json")


def motions() -> str:
    """Accuracy of the nine camera motions on rendered clips of unseen images."""
    held_out = metadata()["held_out"]
    f1s = [f"{held_out['speeds'][speed]['macro_f1']:.3f}" for speed in ("0.4", "1", "2")]
    rows = [["macro-F1 at 0.4x / 1x / 2x speed", " / ".join(f1s)]]
    rows += [[about, f"{held_out['controls'][name]:.3f}"] for name, about in _CONTROLS.items()]
    error = held_out["calibration"]["expected_calibration_error"]
    rows.append(["expected calibration error (15 bins)", f"{error:.3f}"])
    about = f"{held_out['samples']:,} clips per row, {held_out['pictures'].replace('pictures', 'images')}"
    return table(["", ""], rows) + f"{_IN_THE_WEIGHTS} ({about})."


def runs() -> str:
    """The training runs of the shipped weights."""
    last = metadata()
    trained = [one for one in (*last["runs_before"], last) if "steps" in one]
    rows = [
        [
            f"{one['steps']:,}{', interrupted' if 'note' in one else ''}",
            f"{one['clips_seen'] / 1e6:.2f} M" if "clips_seen" in one else "-",
            f"{one['minutes']:.0f}" if "minutes" in one else "-",
            f"{one['processes']} x {one['device']}" if "device" in one else "-",
            _LEARNED[one["steps"]],
        ]
        for one in trained
    ]
    head = ["steps", "clips and scenes", "minutes", "GPUs", "new in this run"]
    return table(head, rows, len(head)) + _IN_THE_WEIGHTS + "."


def video() -> str:
    """Accuracy on real videos, as filmed and with a virtual camera."""
    rows = [one for name in ("video_vtest", "video_others") for one in read(name)["videos"]]
    lines = []
    for one in rows:
        right, asked, moved, moving = _answers([one])
        speeds = (one["virtual_camera"] or {"speeds": {}})["speeds"]
        lines.append(
            [
                Path(one["file"]).stem.removesuffix("_pristine"),
                f"{one['truth']['unsure']} of {one['truth']['windows']}",
                f"{right} of {asked}",
                f"{moved} of {moving}" if moving else "-",
                str(one["virtual_camera"]["windows"]) if one["virtual_camera"] else "0",
                " / ".join(f"{row['macro_f1']:.3f}" for row in speeds.values()) or "-",
            ]
        )
    head = ["clip", "windows without reliable ground truth", "static windows correct",
            "moving windows correct", "windows with the virtual camera",
            "macro-F1 at 0.4x / 1x / 2x"]  # fmt: skip
    return table(head, lines) + source("video_vtest.json", "video_others.json")


def _answers(videos: Sequence[dict[str, Any]]) -> tuple[int, int, int, int]:
    """Numbers of correct and of all static windows, then of correct and of all moving windows."""
    confusion = np.array([one["as_it_is"]["confusion"] for one in videos if one["as_it_is"]]).sum(0)
    right, asked = np.diag(confusion), confusion.sum(1)
    return int(right[0]), int(asked[0]), int(right[1:].sum()), int(asked[1:].sum())


def hands() -> str:
    """Accuracy on videos from hand-held cameras, by spacing of the past frames."""
    lines = []
    for spacing_ms in _HANDS_MS:
        videos = read(f"video_hands_{spacing_ms}ms")["videos"]
        windows, unsure = (sum(one["truth"][key] for one in videos) for key in ("windows", "unsure"))
        right, asked, moved, moving = _answers(videos)
        lines.append(
            [
                f"{spacing_ms} ms",
                f"{unsure} of {windows}",
                f"{right} of {asked}",
                f"{moved} of {moving}",
                f"{(right + moved) / (asked + moving):.3f}",
            ]
        )
    head = ["spacing", "windows without reliable ground truth", "static windows correct",
            "moving windows correct", "accuracy"]  # fmt: skip
    return table(head, lines) + source(*(f"video_hands_{ms}ms.json" for ms in _HANDS_MS))


def demo_tour() -> str:
    """Accuracy on the built-in demo tour, which has ground truth."""
    document = read("demo_tour")
    stream = document["streams"]["demo"]
    things, runtime = stream["things"], document["runtime"]
    dropped = sum(stream["dropped"].values())
    rows = [
        ["frames captured / shown / dropped", f"{stream['captured']} / {stream['rendered']} / {dropped}"],
        ["frames unaccounted for", str(stream["unaccounted"])],
        [f"camera labels: accuracy, {stream['labelled']} frames", f"{stream['accuracy']:.3f}"],
        [f"moving objects: precision, {things['judged']} found", f"{things['precision']:.2f}"],
        [f"moving objects: recall, {things['movers']} true", f"{things['recall']:.2f}"],
        ["moving objects: median direction error", f"{things['direction_error_deg']:.1f}°"],
    ]
    about = f"{runtime['backend']}, {runtime['device']}, {runtime['precision']}"
    return table(["demo tour", ""], rows) + source("demo_tour.json", about=about)


TABLES: Tables = {
    "moving": moving,
    "velocity": velocity,
    "speed_by_size": speed_by_size,
    "flow": flow,
    "uncertainty": uncertainty,
    "camera": camera,
    "still": still,
    "motions": motions,
    "runs": runs,
    "video": video,
    "hands": hands,
    "demo_tour": demo_tour,
}
