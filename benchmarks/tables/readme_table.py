"""The README's table: ten results, each with a baseline from the same run."""

from collections.abc import Callable, Sequence

from benchmarks.tables.accuracy_tables import flow_errors, metadata, moving_rows, velocity_errors
from benchmarks.tables.event_tables import nuisance_summary
from benchmarks.tables.result_files import Tables, best, read, table


def readme() -> str:
    """The README's table, at most ten rows."""
    rows = [_step(), _camera(), _tour(), _events(), *_moving(), _velocity(), _flow(), _still(), _motions()]
    return table(["", "KVQ Stream", "baseline, in the same run"], rows, 3)


def _step() -> list[str]:
    rows = {(row["backend"], row["precision"]): row for row in read("step_motion_cpu")["results"]}
    one = rows["openvino", "fp32"]
    times = [one["step_ms"], one["plain_resnet_ms"]]
    ours, plain = best(times, [f"{time_ms:.1f} ms" for time_ms in times], low=True)
    return ["one step with dense motion, 192x192, two CPU cores", ours, f"{plain} (plain ResNet-18)"]


def _camera() -> list[str]:
    both = [read("end_to_end")["medians"]["30"][who] for who in ("pipeline", "webcam_demo")]
    rates = [one["predictions_per_s"] for one in both]
    shown = best(rates, [f"{rate:.1f}/s" for rate in rates])
    latencies = [f"{one['age_p50_ms']:.0f} / {one['age_p99_ms']:.0f} ms" for one in both]
    about = "30 fps camera, two CPU cores: predictions/s, latency p50 / p99"
    return [about, f"{shown[0]}, {latencies[0]}", f"{shown[1]}, {latencies[1]} (single-process webcam demo)"]


def _tour() -> list[str]:
    stream = read("demo_tour")["streams"]["demo"]
    about = f"demo tour, {stream['captured']:,} frames: unaccounted frames; accuracy of the camera label"
    return [about, f"{stream['unaccounted']}; {stream['accuracy']:.3f}", "-"]


def _events() -> list[str]:
    found = nuisance_summary()
    ours, usual, tuned = (f"{found[name][0]} / {found[name][1]}" for name in ("ours", "mog2", "mog2 tuned"))
    true = found["true"][0]
    about = f"five real clips, unaltered, shaken and darkened ({true} true events): found / false events"
    return [about, ours, f"{usual} (MOG2); {tuned} (MOG2 tuned on the ground truth of each clip)"]


def _moving() -> list[list[str]]:
    rows = moving_rows()
    found = {
        "moving pixels, CDnet highway (fixed camera), F": (rows["cdnet_highway"], "f"),
        "moving pixels, DAVIS (moving camera), mean J": (rows["davis"], "j"),
    }
    return [
        _duel(about, [row[key], row[f"mog2_{key}"]], "MOG2", "{:.2f}".format)
        for about, (row, key) in found.items()
    ]


def _velocity() -> list[str]:
    ours, dis, cars = velocity_errors()
    about = f"velocity of cars, CDnet highway ({cars} masks): median error"
    return _duel(about, [ours, dis], "DIS", "{:.0%}".format, low=True)


def _flow() -> list[str]:
    errors = flow_errors()
    both = [
        best(errors[name][:2], [f"{one:.2f} px" for one in errors[name][:2]], low=True)
        for name in ("clean", "noise")
    ]
    ours, dis = ("; ".join(cells) for cells in zip(*both, strict=True))
    return ["end-point error, Middlebury (four pairs): clean; with noise", ours, f"{dis} (DIS)"]


def _still() -> list[str]:
    rows = [read("dense_still")["still"][name] for name in ("noise", "light", "codec")]
    both = [[row["false_share"], row["mog2_false_share"]] for row in rows]
    cells = [best(shares, [f"{share:.1%}" for share in shares], low=True) for shares in both]
    ours, mog2 = (" / ".join(shown) for shown in zip(*cells, strict=True))
    frames = sum(row["frames"] for row in rows)
    about = f"{frames:,} still images with noise / changing light / H.264: share with false motion"
    return [about, ours, f"{mog2} (MOG2)"]


def _motions() -> list[str]:
    held_out = metadata()["held_out"]
    f1s = " / ".join(f"{held_out['speeds'][speed]['macro_f1']:.3f}" for speed in ("0.4", "1", "2"))
    alone = f"{held_out['controls']['single_frame']:.3f}"
    about = "nine camera motions, rendered, at 0.4x / 1x / 2x speed: macro-F1"
    return [about, f1s, f"{alone} (accuracy with one frame; chance is 0.111)"]


def _duel(
    about: str, values: Sequence[float], baseline: str, show: Callable[[float], str], *, low: bool = False
) -> list[str]:
    ours, theirs = best(values, [show(value) for value in values], low=low)
    return [about, ours, f"{theirs} ({baseline})"]


TABLES: Tables = {"readme": readme}
