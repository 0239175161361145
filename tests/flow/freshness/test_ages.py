from pipeline.flow.freshness.ages import AgeLog, Feedback

MS = 1_000_000


def log(ages_ms: list[int], transit_ms: int = 5, step_ms: int = 10) -> AgeLog:
    """Predictions of frames that were captured a second apart, the newest first."""
    made = AgeLog("cam")
    for number, age_ms in enumerate(ages_ms):
        captured = (100 - number) * 1000 * MS
        predicted = captured + age_ms * MS
        made.add(
            7,
            capture_ns=captured,
            received_ns=captured + transit_ms * MS,
            started_ns=predicted - step_ms * MS,
            predicted_ns=predicted,
        )
    return made


def ages(age_ms: float, transit_ms: float, step_ms: float, since_ns: int = 0, sent_ns: int = 0) -> Feedback:
    return Feedback("cam", 7, sent_ns, age_ms, transit_ms, step_ms, since_ns)


def test_nine_in_ten_are_no_older() -> None:
    assert log([*range(10, 101, 10)]).pop(0, 1) == ages(90.0, 5.0, 10.0, 91_000 * MS)
    assert log([20, 300, 20]).pop(0, 1) == ages(300.0, 5.0, 10.0, 98_000 * MS)


def test_each_prediction_is_summed_up_once_and_not_too_often() -> None:
    times = log([20, 30])
    assert times.pop(1000, 250) is not None
    assert times.pop(2000, 250) is None, "nothing new"
    times.add(7, capture_ns=0, received_ns=MS, started_ns=2 * MS, predicted_ns=3 * MS)
    assert times.pop(1249, 250) is None, "too early"
    assert times.pop(1250, 250) == ages(3.0, 1.0, 1.0, 0, sent_ns=1250)


def test_the_cause_is_where_most_of_the_age_comes_from() -> None:
    assert ages(100, 80, 10).cause == "link"
    assert ages(100, 30, 10).cause == "machine"
    waited_for_a_step = ages(200, 150, 100)
    assert waited_for_a_step.cause == "machine"
