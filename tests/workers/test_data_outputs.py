"""Files of the sink: which of them outlive a run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.base.clock import now_ns
from pipeline.base.event import rfc3339
from tests.events.samples import event
from tests.workers.sinks import sink
from workers.data_outputs import DataOutputs
from workers.keeping import Keeping
from workers.sink import SinkWorker


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_new_run_appends_its_events_and_replaces_predictions(place: Path, restarts: int) -> None:
    events, predictions = place / "e.jsonl", place / "p.jsonl"
    events.write_text('{"of": "an earlier run"}\n{"cut')
    predictions.write_text("{}\n")
    worker = sink(f"sink.events={events}", f"sink.predictions={predictions}", restarts=restarts)
    with worker.resources:
        DataOutputs(worker).write_event(event(7))
    first, second = map(json.loads, events.read_text().splitlines())
    assert first == {"of": "an earlier run"}
    assert second["id"] == event(7).id
    assert predictions.read_text() == ("{}\n" if restarts else "")


@pytest.mark.parametrize(
    "first_process",
    [
        pytest.param(lambda first: {"former": [first.stats]}, id="supervisor"),
        pytest.param(lambda first: {"began_ns": first.stats.session}, id="agent of a fleet"),
    ],
)
def test_a_restarted_sink_stores_only_the_events_of_its_own_run(
    place: Path, first_process: Callable[[SinkWorker], dict[str, Any]]
) -> None:
    settings = f"sink.events={place / 'e.jsonl'}", f"store.file={place / 's'}"
    first = sink(*settings)
    old, own = (
        event(number, time=rfc3339(now_ns() + shift)) for number, shift in ((1, -(10**10)), (2, 10**9))
    )
    with first.resources:
        for one in (old, own):
            DataOutputs(first).write_event(one)
    with (place / "e.jsonl").open("a") as file:
        file.write(msgspec.json.encode(event(3, time="soon")).decode() + "\n")
    again = sink(*settings, restarts=1, **first_process(first))
    with again.resources:
        kept = Keeping(again).newest(None, None, None, 10)
    assert [one.id for one in kept] == [own.id]
