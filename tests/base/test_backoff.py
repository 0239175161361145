from pipeline.base.backoff import Backoff


def test_waits_grow_and_the_last_repeats_until_a_reset() -> None:
    backoff = Backoff([0.5, 1.0, 4.0], 0.0)
    assert [backoff.next_s() for _ in range(5)] == [0.5, 1.0, 4.0, 4.0, 4.0]
    backoff.reset()
    assert backoff.next_s() == 0.5


def test_jitter_varies_each_wait_within_its_fraction() -> None:
    backoff = Backoff([10.0], 0.2)
    waits = [backoff.next_s() for _ in range(50)]
    assert all(8.0 <= wait <= 12.0 for wait in waits)
    assert len(set(waits)) > 1


def test_no_wait_is_longer_than_the_longest_whatever_the_jitter() -> None:
    backoff = Backoff([1.0, 30.0], 0.2, longest_s=5.0)
    assert backoff.next_s() < 5.0
    assert [backoff.next_s() for _ in range(20)] == [5.0] * 20
