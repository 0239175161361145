"""Tables of events: false alarms, timing, zones under a moving camera, and cost of storage."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.nuisance.contest import METHODS
from benchmarks.tables.result_files import Tables, read, source, table

_METHODS = {
    "ours": "KVQ Stream",
    "mog2": "MOG2",
    "mog2 tuned": "MOG2 tuned",
    "differencing": "frame differencing",
    "differencing tuned": "frame differencing tuned",
}
_NUISANCES = {
    "shadows of clouds": "cloud shadows",
    "shadow of a passer": "sharp shadow from outside the frame",
    "infrared switch": "infrared filter switch",
}
_RECEIVERS = {
    "home": "MQTT, mosquitto",
    "shaky": "webhook, every second request answered with 503",
    "hangs": "webhook, server never answers",
    "phone": "push, ntfy-like server",
}
_WITHIN_S = 0.3
_LOGS = {
    "one thing, a tenth of the time": "25 fps, one moving object 10% of the time",
    "one thing, always": "25 fps, one moving object all the time",
}
_EVIDENCE = {"none": "off", "no event": "on, no event", "one clip always": "on, one clip being written"}


def found_and_false(rows: Sequence[dict[str, Any]], method: str) -> tuple[int, int]:
    """True events found by a method, and its false events."""
    found, false = (sum(row[method][key] for row in rows) for key in ("found", "false"))
    return found, false


def _shown(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [str(sum(row["ours"]["true"] for row in rows))] + [
        " / ".join(map(str, found_and_false(rows, method))) for method in METHODS
    ]


def _quiet(rows: Sequence[dict[str, Any]]) -> list[str]:
    quiet_s = sum(row["ours"]["quiet_s"] for row in rows)
    return ["", *(f"{sum(row[method]['false_quiet_s'] for row in rows) / quiet_s:.0%}" for method in METHODS)]


def _nuisance(name: str, about: str, lines: Sequence[list[str]]) -> str:
    rows = read(name)["results"]
    head = [about, "true events", *(_METHODS[method] for method in METHODS)]
    last = [["all", *_shown(rows)], ["quiet time reported as motion", *_quiet(rows)]]
    return table(head, [*lines, *last]) + source(f"{name}.json", about="true events found / false events")


def nuisance() -> str:
    """Events found and false events on rendered streets with one nuisance each."""
    rows = read("nuisance")["results"]
    lines = [[_NUISANCES.get(row["nuisance"], row["nuisance"]), *_shown([row])] for row in rows]
    return _nuisance("nuisance", "rendered street", lines)


def nuisance_clips() -> str:
    """Events found and false events on real clips, unaltered and disturbed."""
    lines = []
    for row in read("nuisance_clips")["results"]:
        disturbed = "" if row["nuisance"] == "none" else f", {row['nuisance']}"
        lines.append([f"`{row['clip']}`{disturbed}", *_shown([row])])
    return _nuisance("nuisance_clips", "real clip", lines)


def nuisance_empty() -> str:
    """Events on videos in which nothing happens: all of them are false."""
    rows = read("nuisance_empty")["results"]
    lines = [
        [
            _NUISANCES.get(row["nuisance"], row["nuisance"]),
            f"{row['seconds'] / 60:.0f}",
            *(str(row[method]["false"]) for method in METHODS),
        ]
        for row in rows
    ]
    minutes = sum(row["seconds"] for row in rows) / 60
    sums = [str(sum(row[method]["false"] for row in rows)) for method in METHODS]
    head = ["empty rendered street", "minutes", *(_METHODS[method] for method in METHODS)]
    return table(head, [*lines, ["all", f"{minutes:.0f}", *sums]]) + source(
        "nuisance_empty.json", about="false events"
    )


def demo_events() -> str:
    """Timing of the scripted events in the demo's street."""
    rows = read("demo_events")["results"]
    late_ms = np.abs([one for row in rows for one in row["late_ms"]])
    scripted, in_time = (sum(row[key] for row in rows) for key in ("scripted", "in_time"))
    missed, false = (sum(len(row[key]) for row in rows) for key in ("missed", "false"))
    lines = [
        [f"reported within {_WITHIN_S} s of the true time", f"{in_time} of {scripted}"],
        [
            "error in ms: median / 95th percentile / worst",
            f"{np.median(late_ms):.0f} / {np.quantile(late_ms, 0.95):.0f} / {late_ms.max():.0f}",
        ],
        ["missed", str(missed)],
        ["reported, but not in the script", str(false)],
    ]
    return table([f"{len(rows)} rendered streets", ""], lines) + source("demo_events.json")


def zone_error() -> str:
    """Position error of a zone's worst corner while the camera moves."""
    document = read("zone_error")
    found = {(row["clip"], row["camera"]): row for row in document["results"]}
    clips, cameras = (list(dict.fromkeys(key[n] for key in found)) for n in (0, 1))
    lines = [[f"`{clip}`", *(_zone_cell(found[clip, camera]) for camera in cameras)] for clip in clips]
    lost = max(row["lost"] for row in found.values())
    about = (
        "KVQ Stream / a fixed zone / ORB with RANSAC; none: no result in most frames; "
        f"the reference view was lost in at most {lost:.0%} of frames"
    )
    return table(
        ["95th percentile, % of the width", *(camera.replace(" %", "%") for camera in cameras)], lines
    ) + source("zone_error.json", about=about)


def _zone_cell(row: dict[str, Any]) -> str:
    orb = "none" if row["orb_lost"] > 0.5 else f"{row['orb_p95'] * 100:.1f}"
    return f"{row['p95'] * 100:.1f} / {row['fixed_p95'] * 100:.1f} / {orb}"


def replay_time() -> str:
    """Size of an hour of motion log, and the time to replay rules over it."""
    lines = []
    for row in read("replay_time")["rows"]:
        fps = row["looks"] / 3600
        about = _LOGS.get(row["log"]) or (
            f"`vtest.avi`: {fps:.0f} fps, {row['things'] / row['looks']:.1f} moving objects on average"
        )
        a_day = [f"{row[key] * 86400 / 1e6:.1f}" for key in ("log_bytes_per_s", "file_bytes_per_s")]
        lines.append(
            [about, f"{row['looks']:,}", f"{row['log_bytes_per_s']:.0f}", *a_day, f"{row['seconds']:.1f} s"]
        )
    head = ["one hour of log", "predictions", "bytes/s", "MB per day", "MB per day, whole file",
            "time to apply the rules"]  # fmt: skip
    return table(head, lines) + source("replay_time.json")


def evidence_cost() -> str:
    """Cost of evidence per frame."""
    rows = read("evidence_cost")["rows"]
    keys = "take_p50", "take_p99", "draw_p50", "draw_p95", "cpu"
    lines = []
    for name, about in _EVIDENCE.items():
        mine = [row for row in rows if row["evidence"] == name]
        took = {key: min(row[key] for row in mine) for key in keys}
        lines.append(
            [
                about,
                f"{took['take_p50']:.3f} / {took['take_p99']:.3f}",
                f"{took['draw_p50']:.1f} / {took['draw_p95']:.1f}",
                f"{took['cpu']:.1f}",
            ]
        )
    head = ["evidence", "passing a frame on, p50 / p99", "drawing it, p50 / p95", "total CPU time"]
    return table(head, lines) + source(
        "evidence_cost.json", about=f"ms per {rows[0]['size']} frame, lowest of three rounds"
    )


def outlet_cost() -> str:
    """Cost of outlets in a run of the demo tour."""
    found = read("outlet_cost")["summary"]
    rate, ratio, repeat = found["predictions_per_s"], found["ratio"], found["repeat"]
    lines = [
        ["predictions/s without / with outlets", f"{rate['without']:.1f} / {rate['with']:.1f}"],
        ["with / without, median of pairs (lowest to highest)", _ratio(ratio)],
        ["repeated runs without outlets, median ratio (lowest to highest)", _ratio(repeat)],
        ["frames / not shown", f"{found['frames']} / {found['not_shown']}"],
        ["events / sent twice / lost", f"{found['events']} / {found['twice']} / {found['lost']}"],
    ]
    return table(["", ""], lines) + source("outlet_cost.json")


def outlet_receivers() -> str:
    """Events received by each receiver."""
    sent = [run["receivers"] for run in read("outlet_cost")["runs"] if run["sends"]]
    keys = "told", "received", "waiting", "lost", "twice"
    lines = [
        [about, *(str(sum(receivers[name][key] for receivers in sent)) for key in keys)]
        for name, about in _RECEIVERS.items()
    ]
    head = ["receiver", "sent", "received", "waiting at the end", "lost", "duplicates"]
    return table(head, lines) + source("outlet_cost.json")


def _ratio(found: dict[str, float]) -> str:
    return f"{found['median']:.2f} ({found['min']:.2f} to {found['max']:.2f})"


def nuisance_summary() -> dict[str, tuple[int, int]]:
    """True events found and false events, by method, over all real clips; ``true`` is (total, total)."""
    rows = read("nuisance_clips")["results"]
    true = sum(row["ours"]["true"] for row in rows)
    return {"true": (true, true)} | {method: found_and_false(rows, method) for method in METHODS}


TABLES: Tables = {
    "nuisance": nuisance,
    "nuisance_clips": nuisance_clips,
    "nuisance_empty": nuisance_empty,
    "demo_events": demo_events,
    "zone_error": zone_error,
    "replay_time": replay_time,
    "evidence_cost": evidence_cost,
    "outlet_cost": outlet_cost,
    "outlet_receivers": outlet_receivers,
}
