"""What inference remembers of a stream that it begins late: a worker is killed, another goes on."""

import signal
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.account.stats import StreamStats
from pipeline.base.errors import WireError
from pipeline.base.frame import FrameId
from pipeline.model.history import StreamHistory
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.rejects import Rejects
from tests.wire.shared_helpers import capture
from tests.workers.arriving import received
from tests.workers.films import camera_film
from tests.workers.pipeline import Pipeline, streams
from workers.rebuilding import Rebuilding

MS = 1_000_000


@pytest.fixture
def stats() -> StreamStats:
    return StreamStats()


@pytest.fixture
def rebuilding(stats: StreamStats) -> Rebuilding:
    return Rebuilding(StreamHistory[Any](2, 100.0), lambda frame_id, truth: frame_id.seq, stats, 1000.0)


def again(seq: int, at_ms: float, **changes: Any) -> ReceivedFrame:
    return replace(received(seq, at_ms, policy="newest", **changes), replayed=True)


def popped(rebuilding: Rebuilding) -> list[tuple[int, bool]]:
    """Number of each frame, and whether it has to be remembered."""
    return [(row.header.seq, row.image is not None) for row in rebuilding.pop(Rejects())]


def test_only_what_the_next_frame_looks_at_is_computed(rebuilding: Rebuilding, stats: StreamStats) -> None:
    for seq in range(7):
        assert rebuilding.took(again(seq, 1000 + 40 * seq))
    assert not rebuilding.took(received(7, 1280, policy="newest"))
    rows = rebuilding.pop(Rejects())
    assert [row.header.seq for row in rows if row.image is not None] == [2, 5]
    for row in rows:
        rebuilding.remember(row.header, None if row.image is None else "entry")
    assert (stats.rebuilt, stats.cache_depth, stats.predicted, stats.backbone_passes) == (2, 2, 0, 0)
    assert popped(rebuilding) == []


@pytest.mark.parametrize(
    ("changes", "at_ms"),
    [
        ({"id": FrameId("door", 1, 1, 7)}, 1280),
        ({"id": FrameId("door", 2, 0, 7)}, 1280),
        ({}, 2400),
        ({}, 1000),
    ],
)
def test_nothing_is_kept_over_a_break(rebuilding: Rebuilding, changes: dict[str, Any], at_ms: float) -> None:
    """The source was opened again, capture restarted, a long silence, a clock that went back."""
    for seq in range(7):
        rebuilding.took(again(seq, 1000 + 40 * seq))
    rebuilding.took(received(7, at_ms, policy="newest", **changes))
    assert popped(rebuilding) == []


def computed_ahead(rebuilding: Rebuilding) -> list[int]:
    """Numbers of the frames that are computed before the next one is there."""
    rows = [row for _ in range(9) for row in rebuilding.pop_expected(1, Rejects())]
    for row in rows:
        rebuilding.keep(row.header, f"entry {row.header.id.seq}")
    return [row.header.id.seq for row in rows]


def test_what_is_expected_to_be_looked_at_is_computed_before_the_next_frame_is_there(
    rebuilding: Rebuilding, stats: StreamStats
) -> None:
    for seq in range(7):
        rebuilding.took(again(seq, 1000 + 40 * seq))
    assert computed_ahead(rebuilding) == [2, 5]
    assert computed_ahead(rebuilding) == []
    assert stats.rebuilt == 0, "it may be worthless yet"
    rebuilding.took(received(7, 1280, policy="newest"))
    rows = rebuilding.pop(Rejects())
    assert [row.image for row in rows] == [None] * 7, "nothing is left to be computed"
    for row in rows:
        rebuilding.remember(row.header, row.entry)
    assert (stats.rebuilt, stats.cache_depth) == (2, 2)


def test_a_next_frame_that_is_late_looks_at_what_else_it_needs(rebuilding: Rebuilding) -> None:
    for seq in range(7):
        rebuilding.took(again(seq, 1000 + 40 * seq))
    assert computed_ahead(rebuilding) == [2, 5]
    rebuilding.took(received(8, 1320, policy="newest"))
    assert popped(rebuilding) == [(seq, seq in (3, 6)) for seq in range(7)]


def test_frames_that_come_later_are_expected_too(rebuilding: Rebuilding) -> None:
    for seq in range(2):
        rebuilding.took(again(seq, 1000 * seq))
    assert computed_ahead(rebuilding) == [0, 1], "a slow camera: the last ones in a row"
    rebuilding.took(again(2, 2000))
    assert computed_ahead(rebuilding) == [2]
    rebuilding.took(received(3, 3000, policy="newest"))
    assert popped(rebuilding) == [(0, False), (1, False), (2, False)]


def test_one_frame_alone_is_expected(rebuilding: Rebuilding) -> None:
    rebuilding.took(again(0, 1000))
    assert computed_ahead(rebuilding) == [0]


def test_a_picture_that_can_not_be_decoded_is_tried_once(rebuilding: Rebuilding, stats: StreamStats) -> None:
    lost = replace(again(0, 1000), lost=WireError("jpeg", "it is cut off"))
    rebuilding.took(lost)
    rebuilding.took(again(1, 1100))
    rejects = Rejects()
    rows = rebuilding.pop_expected(9, rejects)
    for row in rows:
        rebuilding.keep(row.header, None if row.image is None else "entry")
    assert sum(rejects.counts.values()) == 1
    rebuilding.took(received(2, 1200, policy="newest"))
    for row in rebuilding.pop(rejects):
        rebuilding.remember(row.header, row.entry)
    assert sum(rejects.counts.values()) == 1
    assert stats.rebuilt == 1


def test_nothing_is_expected_of_a_stream_that_goes_on_or_has_ended(
    rebuilding: Rebuilding, stats: StreamStats
) -> None:
    rebuilding.took(again(0, 1000))
    rebuilding.took(received(1, 1100, policy="newest"))
    assert rebuilding.expected == []
    assert popped(rebuilding) == [(0, True)]
    history = StreamHistory[Any](2, 100.0)
    history.append(0, 900 * MS, "entry")
    with_past = Rebuilding(history, lambda frame_id, truth: frame_id.seq, stats, 1000.0)
    with_past.took(again(1, 1000))
    assert with_past.expected == []
    ended = Rebuilding(StreamHistory[Any](2, 100.0), lambda frame_id, truth: frame_id.seq, stats, 1000.0)
    ended.took(again(1, 1000))
    ended.clear()
    assert ended.expected == []


def test_pictures_that_lack_packets_are_not_remembered(rebuilding: Rebuilding) -> None:
    rebuilding.took(again(0, 1000, smeared=True))
    rebuilding.took(again(1, 1100))
    rebuilding.took(received(2, 1200, policy="newest"))
    assert popped(rebuilding) == [(1, True)]


def test_who_remembers_something_needs_no_other_past(stats: StreamStats) -> None:
    history = StreamHistory[Any](2, 100.0)
    history.append(0, 900 * MS, "entry")
    rebuilding = Rebuilding(history, lambda frame_id, truth: frame_id.seq, stats, 1000.0)
    rebuilding.took(again(1, 1000))
    rebuilding.took(received(2, 1100, policy="newest"))
    assert popped(rebuilding) == []


def test_what_is_held_is_bounded(rebuilding: Rebuilding) -> None:
    for seq in range(1000):
        rebuilding.took(again(seq, 1000 + seq))
    rebuilding.took(received(1000, 2001, policy="newest"))
    assert len(popped(rebuilding)) == 64


@pytest.mark.slow
@pytest.mark.parametrize(("replay_ms", "depth"), [(capture().replay_ms, 2), (0.0, 0)])
def test_the_first_prediction_after_a_kill_has_full_depth(place: Path, replay_ms: float, depth: int) -> None:
    """Without what capture sends again it has none; either way each frame has its place in the report."""
    film = camera_film(place / "film.mp4", frames=3000, width=160, height=120)
    live = streams({"id": "cam", "source": str(film), "policy": "newest", "pace": True})
    options = ("--set", "run.restart_backoff_s=[0.2]", "--set", f"capture.replay_ms={replay_ms}")
    with Pipeline(place, *live, *options) as run:
        run.wait_for_overlays("cam", 20)
        run.kill("inference")
        run.wait_until("inference", "cam", lambda stats: stats.predicted >= 10)
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    lines = outcome.predictions
    gaps = [after["seq"] - before["seq"] for before, after in pairwise(lines)]
    first = lines[gaps.index(max(gaps)) + 1]
    assert first["depth"] == depth, outcome.told()
    stream = outcome.stream("cam")
    # As many again where the next frame came at another time than expected and looks at other ones.
    assert stream["rebuilt"] in {depth, 2 * depth, 2 * depth - 1}
    assert stream["backbone_passes"] + stream["reused"] == stream["predicted"]
    assert stream["not_predicted"]["lost.worker_restart"] > 0
    assert stream["captured"] - sum(stream["dropped"].values()) == stream["rendered"]
    ids = Counter((line["epoch"], line["seq"]) for line in lines)
    assert max(ids.values()) == 1, "a frame is predicted once"
