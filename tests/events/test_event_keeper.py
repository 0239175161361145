import sqlite3
from itertools import count
from pathlib import Path

import pytest

from pipeline.base.event import unix_ns
from pipeline.base.watched import Watch, Zone
from pipeline.events.archive import Archive
from pipeline.events.event_keeper import Keeper
from pipeline.events.motion_log import unpack
from pipeline.events.store import Store, StoreError
from pipeline.scene.rule_input import Cut
from tests.events.samples import SECOND, chunk, event, look
from tests.scene.walking import START_NS, straight, told
from tests.support import files_up_to
from tests.wire.peers import until

FOREVER = 36_500


def test_all_that_it_was_given_is_there_in_order_when_it_is_closed(place: Path) -> None:
    looks = [look(n / 25) for n in range(60)]
    with Keeper(place / "s", FOREVER, 10) as keeper:
        for part in (*looks[:30], Cut("over"), *looks[30:]):
            keeper.log("front", part)
        keeper.log("back", looks[0])
        keeper.keep(event(1))
    assert keeper.loss == ""
    with Archive(place / "s") as archive:
        assert archive.events() == [event(1)]
        kept = {"front": [], "back": []}
        for one in archive.chunks():
            kept[one.stream_id] += unpack(one.data)
    assert kept == {"front": [*looks[:30], Cut("over"), *looks[30:]], "back": [looks[0]]}


def test_an_event_can_be_read_while_it_goes_on_and_with_it_the_looks_before(place: Path) -> None:
    with Keeper(place / "s", FOREVER, 10) as keeper, Archive(place / "s") as archive:
        keeper.log("front", look(0))
        keeper.keep(event(1))
        until(archive.events, "the event is there")
        assert [unpack(one.data) for one in archive.chunks()] == [[look(0)]]


def test_chunks_of_the_same_minute_become_one_of_each_stream(place: Path) -> None:
    with Keeper(place / "s", FOREVER, 10) as keeper, Archive(place / "s") as archive:
        for n in range(3):  # an event has its looks written
            keeper.log("front", look(n))
            keeper.log("back", look(n / 2))
            keeper.keep(event(n))
            until(lambda: len(archive.events()) > n, "the event is there")  # noqa: B023
        assert len(list(archive.chunks())) == 6
    with Archive(place / "s") as archive:
        assert {one.stream_id: unpack(one.data) for one in archive.chunks()} == {
            "front": [look(0), look(1), look(2)],
            "back": [look(0), look(0.5), look(1)],
        }
        assert len(list(archive.chunks())) == 2
        assert {one.start_ns for one in archive.chunks()} == {look(0).now.wall_ns}
        assert {one.end_ns for one in archive.chunks()} == {look(2).now.wall_ns, look(1).now.wall_ns}


def test_a_disk_that_does_not_answer_delays_nobody_and_what_is_lost_is_counted(place: Path) -> None:
    """Somebody holds the file, so that the thread waits in the middle of a write."""
    keeper = Keeper(place / "s", FOREVER, 10, room=50)
    holder = sqlite3.connect(place / "s", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    given = 0

    def give() -> bool:
        nonlocal given
        keeper.log("front", look(given / 25))
        keeper.keep(event(given))
        given += 1
        return keeper.lost > 100

    until(give, "its queue is full")
    holder.execute("ROLLBACK")
    holder.close()
    keeper.close()
    with Archive(place / "s") as archive:
        events = archive.events()
        looks = sum(len(unpack(one.data)) for one in archive.chunks())
    assert len(events) + looks + keeper.lost == 2 * given
    assert f"{given - looks} motion log entries" in keeper.loss
    assert f"{given - len(events)} events" in keeper.loss
    assert "were not stored: the disk is too slow" in keeper.loss


def test_a_full_disk_is_a_loss_and_nothing_is_raised(place: Path) -> None:
    keeper = Keeper(place / "s", FOREVER, 10)
    with files_up_to(200_000):
        for second in count():
            keeper.keep(event(second, why={"text": "x" * 10_000}))
            if keeper.loss:
                break
        keeper.keep(event(0))
        keeper.close()
    assert "free some space, or lower store.max_mb" in keeper.loss
    Store(place / "s", 30, 10).close()


def test_what_a_killed_process_left_open_ends_where_its_log_ends(place: Path) -> None:
    start, ended, later = event(1, "start"), event(2, "start", thing=2), event(90, "start", thing=3)
    with Store(place / "s", FOREVER, 10) as store:
        end = event(3, "end", start=ended.id)
        store.write([start, ended, end, later], [chunk(0), chunk(5), chunk(60, stream_id="back")])
    with Keeper(place / "s", FOREVER, 10) as keeper:
        first, second = keeper.adopted
    assert (first.start, second.start) == (start.id, later.id)
    assert unix_ns(first.time) - START_NS == pytest.approx(9.96 * SECOND, abs=1e6)
    assert first.for_s == pytest.approx(8.96)
    assert first.why == {"ended": "the sink was killed"}
    assert (first.phase, first.kind, first.zone, first.thing) == ("end", "moving", "drive", 1)
    assert (second.time, second.for_s) == (later.time, 0)
    with Keeper(place / "s", FOREVER, 10) as keeper:
        assert keeper.adopted == []
    with Archive(place / "s") as archive:
        assert archive.open_starts() == []
        assert archive.event(start.id) == [start, first]


def test_an_end_that_was_told_live_and_lost_on_its_way_to_the_store_is_made_again_with_the_same_id(
    place: Path,
) -> None:
    zone = Watch(zones={"yard": Zone(points=[(0.3, 0.3), (0.7, 0.3), (0.7, 0.9), (0.3, 0.9)])})
    start, end = told(zone, {1: straight(0.1, 0.6, 0.2, 0.0, ends=4.2)}, 8)
    with Store(place / "s", FOREVER, 10) as store:
        store.write([start], [])
    with Keeper(place / "s", FOREVER, 10) as keeper:
        assert [one.id for one in keeper.adopted] == [end.id]
        keeper.keep(end)
    with Archive(place / "s") as archive:
        assert [one.id for one in archive.events()] == [start.id, end.id]


def test_a_store_that_cannot_be_opened_is_let_go(place: Path) -> None:
    with Store(place / "s", FOREVER, 10), pytest.raises(StoreError, match="another run"):
        Keeper(place / "s", FOREVER, 10)
    Keeper(place / "s", FOREVER, 10).close()
