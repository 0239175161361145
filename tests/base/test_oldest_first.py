"""What is kept on disk: the oldest goes first."""

from pathlib import Path

from pipeline.base.oldest_first import OldestFirst

DAY = 86_400 * 10**9
NOW = 1_790_000_000 * 10**9
MB = 2**20


def kept(root: Path) -> tuple[OldestFirst[str], list[str]]:
    removed: list[str] = []
    return OldestFirst(root, 7, 3, removed.append), removed


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    files, removed = kept(tmp_path)
    for name, days_ago in (("young", 6.9), ("ancient", 9), ("old", 7.1)):
        files.add(name, NOW - round(days_ago * DAY), MB)
    files.add("new", NOW, MB)
    files.forget_old(NOW)
    assert removed == ["ancient", "old"]
    files.forget_old(NOW + DAY)
    assert removed == ["ancient", "old", "young"]


def test_a_clock_that_is_ahead_at_the_start_makes_nothing_old(tmp_path: Path) -> None:
    files, removed = kept(tmp_path)
    for name, days_ago in (("young", 3), ("new", 0)):
        files.add(name, NOW - days_ago * DAY, MB)
    files.forget_old(NOW + 1000 * DAY)
    assert removed == []
    files.forget_old(NOW + 1005 * DAY)
    assert removed == ["young"]


def test_the_oldest_goes_where_there_is_too_much(tmp_path: Path) -> None:
    files, removed = kept(tmp_path)
    for name, time_ns in (("b", 2), ("a", 1), ("c", 3)):
        files.add(name, NOW + time_ns, MB)
    files.forget_old(NOW)
    assert removed == []
    files.add("c", NOW + 3, MB + 1)  # it counts once
    files.forget_old(NOW)
    assert removed == ["a"]


def test_what_is_left_alone_neither_counts_nor_goes(tmp_path: Path) -> None:
    files, removed = kept(tmp_path)
    files.add("a", NOW, 4 * MB)
    files.leave("a")
    files.leave("never there")
    files.add("b", NOW + 1, 3 * MB)
    files.forget_old(NOW + 6 * DAY)
    assert removed == []


def test_a_nearly_full_disk_costs_the_oldest_until_there_is_room(small_disk: Path) -> None:
    removed: list[str] = []

    def remove(name: str) -> None:
        removed.append(name)
        (small_disk / name).unlink()

    files = OldestFirst[str](small_disk, 1e4, 1, remove)
    for number, name in enumerate("abcd"):
        (small_disk / name).write_bytes(bytes(20_000))
        files.add(name, NOW + number, 20_000)
    assert files.make_room()
    assert removed == []
    assert files.make_room(30_000)
    assert removed == ["a"]
    wanting_more = OldestFirst[str](small_disk, 1e4, 1, remove, times_free=9)
    assert not wanting_more.make_room()
    wanting_more.add("b", NOW, 20_000)
    assert wanting_more.make_room()
    assert removed == ["a", "b"]
