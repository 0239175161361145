"""The cost of outlets for a run: ``python -m benchmarks.outlet_cost --json FILE``.

Plays the demo tour at full speed, in pairs of runs with the same rules: one without outlets, and one with all
of them: MQTT to mosquitto, a webhook whose server fails for every second request, one whose server hangs,
push messages to an ntfy-like server, ``--events FILE``, and ``/metrics`` scraped once a second. All servers
run on the same machine, and their load counts against the pipeline. The order alternates between pairs, so
that two runs of the same kind follow each other; their ratio gives the repeatability on this machine.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.outlet_servers import Posts, Subscriber, broker, free_port, scraped, silence
from pipeline.base.scratch import scratch_folder

_ROOT = Path(__file__).parents[1]
_COLUMNS = 5


@dataclass(frozen=True)
class Receiver:
    """Counts of events at one receiver.

    Attributes:
        told: Number of events of the run.
        received: Number of different events received.
        twice: Number of duplicates.
        waiting: Number still queued at the end of the run.
        lost: Number neither received nor queued.
    """

    told: int
    received: int
    twice: int
    waiting: int
    lost: int


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        sends: Whether all outlets are enabled.
        predictions_per_s: From the first prediction to the last.
        frames: Number of captured frames.
        not_shown: Number of frames dropped or unaccounted for.
        events: Number of events sent; None without outlets.
        scrapes: Number of ``/metrics`` responses.
        receivers: Receivers by name.
    """

    sends: bool
    predictions_per_s: float
    frames: int
    not_shown: int
    events: int | None
    scrapes: int
    receivers: dict[str, Receiver]


def measure(pairs: int, frames: int, options: Sequence[str], folder: Path) -> list[Run]:
    """Runs pairs of runs of ``frames`` frames; returns them in order.

    Raises:
        ValueError: A run failed (with its output), or there is no broker.
    """
    order = [sends for pair in range(pairs) for sends in ((False, True), (True, False))[pair % 2]]
    return [run(folder / f"{number}", frames, sends, options) for number, sends in enumerate(order)]


def run(folder: Path, frames: int, sends: bool, options: Sequence[str]) -> Run:
    """One run of the pipeline; see ``measure``."""
    folder.mkdir(parents=True)
    web, events = free_port(), folder / "events.jsonl"
    settings = ["--set", f"sink.web_port={web}", "--frames", str(frames), *options]
    if not sends:
        report = _pipeline(folder, _rules(), settings)
        return _run(report, None, 0, {})
    with contextlib.ExitStack() as servers:
        port = servers.enter_context(broker(folder))
        home = servers.enter_context(Subscriber(port))
        shaky, phone = (servers.enter_context(Posts(fails_every=every)) for every in (2, 0))
        hanging = servers.enter_context(silence())
        scrapes = servers.enter_context(scraped(web))
        outlets = {
            "home": ("mqtt", f"mqtt://127.0.0.1:{port}"),
            "shaky": ("webhook", f"http://127.0.0.1:{shaky.port}/"),
            "hangs": ("webhook", f"http://127.0.0.1:{hanging}/"),
            "phone": ("push", f"ntfy://127.0.0.1:{phone.port}/topic"),
        }
        text = "".join(
            f'[outlets.{name}]\nkind = "{kind}"\nurl = "{url}"\n' for name, (kind, url) in outlets.items()
        )
        report = _pipeline(folder, _rules() + text, [*settings, "--events", str(events)])
        told = [json.loads(line)["id"] for line in events.read_text().splitlines()]
        counts = report["outlets"]
        receivers = {
            name: _receiver(told, [one["id"] for one in taken], counts[f"{name}.waiting"])
            for name, taken in {"home": home.taken, "shaky": shaky.taken, "hangs": []}.items()
        }
        receivers["phone"] = _in_words(told, phone.taken, counts["phone.waiting"])
        return _run(report, len(told), len(scrapes), receivers)


def _pipeline(folder: Path, text: str, settings: Sequence[str]) -> dict[str, Any]:
    """Runs the pipeline; returns its report."""
    config, report = folder / "config.toml", folder / "report.json"
    config.write_text(text)
    outputs = f"run.output_dir={folder / 'videos'}", f"sink.outbox={folder / 'outbox.sqlite'}"
    command = [
        *(sys.executable, str(_ROOT / "run_stream.py"), "--headless", "--config", str(config)),
        *("--report", str(report), "--set", outputs[0], "--set", outputs[1], *settings),
    ]
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KVQ_")}
    done = subprocess.run(
        command,
        env=kept | {"XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(
            f"the run failed with exit code {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    read: dict[str, Any] = json.loads(report.read_text())
    return read


def _run(report: dict[str, Any], events: int | None, scrapes: int, receivers: dict[str, Receiver]) -> Run:
    stream = report["streams"]["demo"]
    return Run(
        sends=events is not None,
        predictions_per_s=stream["fps"]["prediction"],
        frames=stream["captured"],
        not_shown=stream["captured"] - stream["rendered"],
        events=events,
        scrapes=scrapes,
        receivers=receivers,
    )


def _receiver(told: Sequence[str], ids: Sequence[str], waiting: int) -> Receiver:
    received = len(set(ids))
    return Receiver(len(told), received, len(ids) - received, waiting, len(told) - received - waiting)


def _in_words(told: Sequence[str], messages: Sequence[dict[str, Any]], waiting: int) -> Receiver:
    """The result of a receiver whose messages have no id: messages beyond the events count as duplicates."""
    due = len(told) - waiting
    return Receiver(
        len(told), min(len(messages), due), max(0, len(messages) - due), waiting, max(0, due - len(messages))
    )


def _rules() -> str:
    """Adjacent zones and lines between them, with rules for every object that enters, leaves or crosses."""
    parts = []
    for number in range(_COLUMNS):
        left, right = number / _COLUMNS, (number + 1) / _COLUMNS
        corners = [[left, 0.0], [right, 0.0], [right, 1.0], [left, 1.0]]
        parts.append(f'[zones.zone{number}]\npoints = {corners}\nanchor = "middle"\n')
        parts += [
            f'[rules.{kind}{number}]\nkind = "{kind}"\nzone = "zone{number}"\n'
            for kind in ("moving", "entered", "left")
        ]
        if number:
            parts.append(f"[lines.line{number}]\npoints = [[{left}, 0.0], [{left}, 1.0]]\n")
            parts.append(f'[rules.crossed{number}]\nkind = "crossed"\nline = "line{number}"\n')
    return "".join(parts)


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Ratios of the prediction rate: with and without outlets, and between adjacent runs of one kind."""
    pairs = [sorted(runs[n : n + 2], key=lambda one: one.sends) for n in range(0, len(runs), 2)]
    ratios = [with_all.predictions_per_s / without.predictions_per_s for without, with_all in pairs]
    neighbours = [(runs[n], runs[n + 1]) for n in range(1, len(runs) - 1, 2)]
    repeats = [later.predictions_per_s / earlier.predictions_per_s for earlier, later in neighbours]
    kinds = {"without": [one for one in runs if not one.sends], "with": [one for one in runs if one.sends]}
    receivers = [one for sent in kinds["with"] for one in sent.receivers.values()]
    return {
        "predictions_per_s": {
            name: round(statistics.median(one.predictions_per_s for one in some), 2)
            for name, some in kinds.items()
        },
        "ratio": _spread(ratios),
        "repeat": _spread(repeats) if repeats else None,
        "frames": sum(one.frames for one in runs),
        "not_shown": sum(one.not_shown for one in runs),
        "events": sum(one.events or 0 for one in runs),
        "twice": sum(one.twice for one in receivers),
        "lost": sum(one.lost for one in receivers),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    """Prints each run and a summary, and stores the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--json", type=Path)
    options, more = parser.parse_known_args()
    with scratch_folder("kvq-bench-") as folder:
        runs = measure(options.pairs, options.frames, more, folder)
    for one in runs:
        print(one)
    found = summary(runs)
    print(json.dumps(found, indent=1))
    if options.json:
        result = {"machine": describe_machine(), "options": more, "summary": found}
        text = json.dumps(result | {"runs": [asdict(one) for one in runs]}, indent=1)
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
