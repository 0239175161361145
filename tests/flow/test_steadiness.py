from pipeline.flow.steadiness import Steadiness

S = 1_000_000_000


def waits(steadiness: Steadiness, now_s: int) -> int:
    """Seconds until a worker that is up is steady."""
    return next(n for n in range(10_000) if steadiness.holds("a", (now_s + n) * S))


def test_a_worker_is_steady_when_it_was_up_long_enough() -> None:
    steadiness = Steadiness(10.0)
    steadiness.up("a", 5 * S)
    assert waits(steadiness, 5) == 10


def test_each_fall_in_a_row_doubles_the_wait_up_to_a_limit() -> None:
    steadiness, found = Steadiness(10.0), []
    for turn in range(12):
        steadiness.up("a", turn * 50 * S)
        found.append(waits(steadiness, turn * 50))
        steadiness.down("a", (turn * 50 + 40) * S)
    assert found[:5] == [10, 10, 20, 40, 80]
    assert found[-2:] == [640, 640]


def test_who_was_up_for_long_begins_anew() -> None:
    steadiness = Steadiness(10.0)
    for up_s, down_s in ((0, 5), (10, 15), (20, 1000)):
        steadiness.up("a", up_s * S)
        steadiness.down("a", down_s * S)
    steadiness.up("a", 2000 * S)
    assert waits(steadiness, 2000) == 10


def test_a_failure_puts_it_off_and_never_forward() -> None:
    steadiness = Steadiness(10.0)
    steadiness.up("a", 0)
    steadiness.put_off("a", 5 * S)
    assert waits(steadiness, 0) == 15
    steadiness.put_off("a", 0)
    assert waits(steadiness, 0) == 15
