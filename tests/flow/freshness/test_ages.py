from pipeline.flow.freshness.ages import AgeLog, Ages

MS = 1_000_000


def log(ages_ms: list[int], transit_ms: int = 5, step_ms: int = 10) -> AgeLog:
    """Predictions of frames that were captured a second apart, the newest first."""
    made = AgeLog()
    for number, age_ms in enumerate(ages_ms):
        captured = (100 - number) * 1000 * MS
        predicted = captured + age_ms * MS
        made.add(
            capture_ns=captured,
            received_ns=captured + transit_ms * MS,
            started_ns=predicted - step_ms * MS,
            predicted_ns=predicted,
        )
    return made


def test_nine_in_ten_are_no_older() -> None:
    assert log([*range(10, 101, 10)]).pop(0, 1) == Ages(90.0, 5.0, 10.0, since_ns=91_000 * MS)
    assert log([20, 300, 20]).pop(0, 1) == Ages(300.0, 5.0, 10.0, since_ns=98_000 * MS)


def test_each_prediction_is_summed_up_once_and_not_too_often() -> None:
    ages = log([20, 30])
    assert ages.pop(1000, 250) is not None
    assert ages.pop(2000, 250) is None, "nothing new"
    ages.add(capture_ns=0, received_ns=MS, started_ns=2 * MS, predicted_ns=3 * MS)
    assert ages.pop(1249, 250) is None, "too early"
    assert ages.pop(1250, 250) == Ages(3.0, 1.0, 1.0, since_ns=0)


def test_the_cause_is_where_most_of_the_age_comes_from() -> None:
    assert Ages(age_ms=100, transit_ms=80, step_ms=10, since_ns=0).cause == "link"
    assert Ages(age_ms=100, transit_ms=30, step_ms=10, since_ns=0).cause == "machine"
    waited_for_a_step = Ages(age_ms=200, transit_ms=150, step_ms=100, since_ns=0)
    assert waited_for_a_step.cause == "machine"
