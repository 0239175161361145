"""Size and replay time of an hour of motion log: ``python -m benchmarks.replay_time --json FILE``.

Two logs are synthetic: 25 fps with 1 ms of jitter, and one object that moves through the frame 10 % of the
time, or always. ``--store FILE`` adds the log of a real clip, repeated to one hour. Rules: three on a zone,
one on a line.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import msgspec

from benchmarks.machine import describe_machine
from pipeline.base.event import Event, Moment
from pipeline.base.moving_thing import Thing
from pipeline.base.watched import Line, Rule, Watch, Zone
from pipeline.events.archive import Archive, Chunk
from pipeline.events.motion_log import LogPart, pack, unpack
from pipeline.events.replay import Replay
from pipeline.events.store import Store
from pipeline.scene.rule_input import Look, in_steps

_HOUR_NS = 3600 * 10**9
_CHUNK_NS = 60 * 10**9
_START_NS = 1_790_000_000 * 10**9
_STEP_NS, _JITTER_NS = 40_000_000, 1_000_000
_WALK_S = 10.0
_WATCH = Watch(
    zones={"yard": Zone(points=[(0.3, 0.3), (0.7, 0.3), (0.7, 0.9), (0.3, 0.9)])},
    lines={"gate": Line(points=[(0.5, 0.1), (0.5, 0.95)])},
    rules={
        **{kind: Rule(kind=kind, zone="yard") for kind in ("moving", "entered", "left")},
        "gate": Rule(kind="crossed", line="gate"),
    },
)


@dataclass(frozen=True)
class Row:
    """One hour of a log.

    Attributes:
        log: Name of the log.
        looks: Number of predictions.
        things: Number of objects, summed over predictions.
        log_bytes_per_s: Size of its chunks.
        file_bytes_per_s: Growth of the store's file.
        events: Number of events from the rules.
        seconds: Time from chunks to events, fastest round.
        cpu_seconds: CPU time of the process in the fastest round.
    """

    log: str
    looks: int
    things: int
    log_bytes_per_s: float
    file_bytes_per_s: float
    events: int
    seconds: float
    cpu_seconds: float


def walks(share: float) -> Iterator[Look]:
    """Endless predictions; for a share of the time an object moves through the frame, a new one each time."""
    rng = random.Random(7)
    for n in range(1 << 62):
        second = n * _STEP_NS / 1e9
        walk, into = divmod(second, _WALK_S / share)
        things = []
        if into < _WALK_S:
            left = 0.9 * into / _WALK_S
            box = (left + rng.gauss(0, 0.003), 0.4, 0.08 + rng.gauss(0, 0.002), 0.3 + rng.gauss(0, 0.004))
            things = [_thing(int(walk) + 1, box, 0.09 + rng.gauss(0, 0.004), rng.gauss(0, 4.0) % 360)]
        at_ns = n * _STEP_NS + round(rng.gauss(0, _JITTER_NS))
        yield in_steps(Look(session=1, now=Moment(at_ns, _START_NS + at_ns), depth=2, things=things))


def repeated(looks: Sequence[Look]) -> Iterator[Look]:
    """The same predictions repeated, with continuous times."""
    length_ns = 2 * looks[-1].now.time_ns - looks[-2].now.time_ns - looks[0].now.time_ns
    for turn in range(1 << 62):
        for look in looks:
            now = Moment(*(time_ns + turn * length_ns for time_ns in look.now))
            yield in_steps(msgspec.structs.replace(look, session=1, now=now))


def measure(log: str, looks: Iterator[Look], length_ns: int, rounds: int) -> Row:
    """Packs ``length_ns`` of a log, and runs the rules over it."""
    kept = [next(looks)]
    for look in looks:
        if look.now.time_ns - kept[0].now.time_ns >= length_ns:
            break
        kept.append(look)
    chunks = [Chunk("camera", 0, 0, pack(part)) for part in _parts(kept)]
    times, cpu_times = [], []
    for _ in range(rounds):
        began, cpu_began = time.perf_counter(), time.process_time()
        events = len(list(Replay(_WATCH).events(chunks)))
        times.append(time.perf_counter() - began)
        cpu_times.append(time.process_time() - cpu_began)
    size, file_size = (
        x / (length_ns / 1e9) for x in (sum(len(chunk.data) for chunk in chunks), _grown(chunks))
    )
    things = sum(len(look.things) for look in kept)
    fastest, least = round(min(times), 3), round(min(cpu_times), 3)
    return Row(log, len(kept), things, round(size, 1), round(file_size, 1), events, fastest, least)


def _parts(looks: Sequence[Look]) -> Iterator[list[Look]]:
    """Parts of the same length as those that the sink stores."""
    each = iter(looks)
    span = (looks[-1].now.time_ns - looks[0].now.time_ns) / max(len(looks) - 1, 1)
    while part := list(islice(each, max(round(_CHUNK_NS / span), 1) if span else len(looks))):
        yield part


def _grown(chunks: Sequence[Chunk]) -> int:
    """Bytes that chunks add to the file of a store."""
    with tempfile.TemporaryDirectory() as folder:
        path, sizes = Path(folder) / "store", []
        for part in ([], chunks):
            with Store(path, 36_500.0, 1024.0) as store:
                store.write(
                    [Event(id="a", time="2026-11-29T12:00:00Z", stream_id="a", kind="dark", phase="once")],
                    part,
                )
            sizes.append(path.stat().st_size)
    return sizes[1] - sizes[0]


def _thing(number: int, box: tuple[float, float, float, float], speed: float, direction_deg: float) -> Thing:
    left, top, width, height = (min(max(share, 0.0), 1.0) for share in box)
    return Thing(
        id=number,
        box=(left, top, width, height),
        outline=[],
        speed=abs(speed),
        direction_deg=direction_deg,
        age_ms=0.0,
        score=0.9,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--store", type=Path, help="a store with the log of one clip")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [
        measure("one thing, a tenth of the time", walks(0.1), _HOUR_NS, arguments.rounds),
        measure("one thing, always", walks(1.0), _HOUR_NS, arguments.rounds),
    ]
    if arguments.store:
        with Archive(arguments.store) as archive:
            parts: list[LogPart] = [part for chunk in archive.chunks() for part in unpack(chunk.data)]
        looks = [part for part in parts if isinstance(part, Look)]
        rows.append(measure(arguments.store.stem, repeated(looks), _HOUR_NS, arguments.rounds))
    for row in rows:
        print(row, flush=True)
    if arguments.json:
        result = {"machine": describe_machine(), "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
