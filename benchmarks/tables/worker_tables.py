"""Tables of several inference workers: restarts, shared streams, a fleet's failures, a simulated fleet."""

import statistics
from typing import Any

from benchmarks.fleet.fleet_bench import OURS, cells
from benchmarks.fleet.fleet_scenarios import SCENARIOS
from benchmarks.tables.result_files import Tables, read, source, table


def restart_depth() -> str:
    """Time until a restarted worker predicts with full depth."""
    rows = read("restart_depth")["rows"]
    lines = []
    for replay_ms in dict.fromkeys(row["replay_ms"] for row in rows):
        mine = [row for row in rows if row["replay_ms"] == replay_ms]
        start, first, full = (
            statistics.median(row[key] for row in mine) for key in ("start_s", "first_ms", "full_ms")
        )
        depths = ", ".join(" ".join(map(str, row["depths"])) for row in mine)
        lines.append([f"{replay_ms:g}", f"{start:.1f} s", f"{first:.0f} ms", f"{full:.0f} ms", depths])
    head = ["`capture.replay_ms`", "kill to ready", "then to the first prediction",
            "to the first with full depth", "depths of the first predictions after each kill"]  # fmt: skip
    return table(head, lines) + source("restart_depth.json")


def shared_streams_cpu() -> str:
    """Throughput by number of workers, on two cores."""
    return _shared_streams("shared_streams_cpu")


def shared_streams_gpu() -> str:
    """Throughput of one and two workers, each with its own GPU."""
    return _shared_streams("shared_streams_h200")


def _shared_streams(name: str) -> str:
    document = read(name)
    rows: list[dict[str, Any]] = document["rows"]
    (paced,) = {(row["streams"], row["fps"]) for row in rows if row["mode"] == "paced"}
    lines = []
    for workers in sorted({row["workers"] for row in rows}):
        full, late = (
            [row[key] for row in rows if row["mode"] == mode and row["workers"] == workers]
            for mode, key in (("full", "predictions_per_s"), ("paced", "p99_ms"))
        )
        lines.append(
            [
                str(workers),
                f"{statistics.median(full):,.1f} ({min(full):,.1f} to {max(full):,.1f})",
                f"{statistics.median(late):.0f} ms ({min(late):.0f} to {max(late):.0f})",
            ]
        )
    head = [
        "inference workers",
        f"predictions/s, {paced[0]} streams without loss",
        f"p99 from capture to prediction, {paced[0]} streams at {paced[1]:g} fps",
    ]
    return table(head, lines) + source(f"{name}.json", about="medians (lowest to highest round)")


def fleet_failures() -> str:
    """Recovery times and losses of a fleet on Ray after failures."""
    found = read("fleet_failures")
    killed, back, coordinator, drained = (
        found[key] for key in ("node_killed", "node_back", "coordinator_killed", "node_drained")
    )
    given, first, full = (killed[key] for key in ("given_s", "first_prediction_s", "first_full_depth_s"))
    move = drained["move_ms"]
    lines = [
        [f"a node with {killed['streams']} streams is killed", "detected", f"{killed['noticed_s']:.2f} s"],
        ["", "streams reassigned, median (worst)", f"{given['median']:.2f} s ({given['worst']:.2f} s)"],
        ["", "first predictions, median (worst)", f"{first['median']:.2f} s ({first['worst']:.2f} s)"],
        ["", "full depth, median (worst)", f"{full['median']:.2f} s ({full['worst']:.2f} s)"],
        ["", "streams not at full depth within 8 s", str(killed["without"])],
        ["the node returns", "its worker is ready", f"{back['ready_s']:.1f} s"],
        ["", "load balanced, after that", f"{back['even_after_ready_s']:.1f} s"],
        ["", "moves (maximum per stream)", f"{back['moves']} ({back['most_moves_of_a_stream']})"],
        ["the coordinator is killed", "running again", f"{coordinator['back_s']:.2f} s"],
        ["", "streams whose owner changed", str(coordinator["owners_changed"])],
        [
            f"a node with {drained['streams']} streams is drained",
            "no streams left",
            f"{drained['took_s']:.1f} s",
        ],
        ["", "one move, median (worst)", f"{move['median']:.0f} ms ({move['worst']:.0f} ms)"],
        ["", "streams whose memory was taken over", str(drained["memory_taken"])],
        ["", "frames lost on the wire", str(drained["lost_on_the_wire"])],
        [f"total: {found['captured']} frames", "unaccounted for", str(found["unaccounted"])],
        ["", "predicted twice", str(found["predicted_twice"])],
        [
            "",
            "not predicted because of a worker restart",
            str(found["not_predicted"]["lost.worker_restart"]),
        ],
    ]
    about = f"{found['streams']} streams at {found['fps']:g} fps, {found['inference_nodes']} inference nodes"
    return table(["failure", "measured", "result"], lines, 2) + source("fleet_failures.json", about=about)


def fleet_soak() -> str:
    """A soak test in which random nodes are killed and restarted."""
    found = read("fleet_soak")
    memory = found["memory_mb"]
    lines = [
        ["nodes killed; streams moved", f"{found['kills']}; {found['moves']}"],
        ["time until detected, median (worst)", _median_and_worst(found["detect_s"])],
        ["time until all streams have an owner again, median (worst)", _median_and_worst(found["whole_s"])],
        ["frames captured; unaccounted for", f"{found['captured']:,}; {found['unaccounted']}"],
        ["frames predicted; predicted twice", f"{found['answers']:,}; {found['twice']}"],
        *(
            [f"memory at the beginning and at the end: {name}", _from_to(memory[name])]
            for name in sorted(memory)
        ),
    ]
    return table(["", "result"], lines, 1) + source("fleet_soak.json")


def _median_and_worst(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({max(seconds):.2f} s)"


def _from_to(megabytes: list[float]) -> str:
    return f"{megabytes[0]:.0f} MB, {megabytes[1]:.0f} MB"


def fleet_silence() -> str:
    """Longest silence of agents on a busy machine."""
    found = read("fleet_silence")
    lines = [
        [
            str(one["busy_processes"]),
            f"{one['agent_silent_s']:.2f} s",
            f"{one['health_s']:.2f} s",
            ", ".join(one["down"]) or "none",
        ]
        for one in found["results"]
    ]
    head = ["other busy processes", "longest silence of an agent", "slowest response to `/healthz`",
            "workers considered dead"]  # fmt: skip
    return table(head, lines, 1) + source(
        "fleet_silence.json", about=f"{found['streams']} streams at {found['fps']:g} fps"
    )


def fleet_simulation() -> str:
    """``FleetTable`` compared with two simpler policies, in virtual time."""
    document = read("fleet_simulation")
    lines, before = [], ""
    for result in document["results"]:
        scenario, decider, *numbers = cells(result["scenario"], result["decider"], result)
        shown = "" if scenario == before else f"`{scenario}`"
        lines.append([shown, f"**{decider}**" if decider == OURS else decider, *numbers])
        before = scenario
    about = (
        f"{document['cameras']:,} cameras, {document['workers']} workers, "
        f"{document['minutes']:g} minutes per scenario, seed {document['seed']}"
    )
    head = ["scenario", "policy", "moves per minute, planned / unplanned", "moved again within a minute",
            "overloaded worker-minutes", "highest load", "highest / mean load",
            "s without predictions after a failure: median / p99 / worst", "after a planned move: worst",
            "stream-seconds without predictions"]  # fmt: skip
    return table(head, lines, 2) + source("fleet_simulation.json", about=about)


def fleet_scenarios() -> str:
    """Descriptions of the simulated scenarios."""
    scenarios: dict[str, str] = read("fleet_simulation")["scenarios"]
    rows = [
        [f"`{name}`", SCENARIOS[name].about if name in SCENARIOS else about]
        for name, about in scenarios.items()
    ]
    return table(["scenario", "what happens"], rows, 2)


TABLES: Tables = {
    "restart_depth": restart_depth,
    "shared_streams_cpu": shared_streams_cpu,
    "shared_streams_gpu": shared_streams_gpu,
    "fleet_failures": fleet_failures,
    "fleet_soak": fleet_soak,
    "fleet_silence": fleet_silence,
    "fleet_simulation": fleet_simulation,
    "fleet_scenarios": fleet_scenarios,
}
