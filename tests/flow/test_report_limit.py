from pipeline.flow.report_limit import ReportLimit

SECOND = 10**9


def test_each_kind_is_reported_once_a_minute_with_the_number_held_back() -> None:
    limit = ReportLimit()
    assert [limit.admit("gap", at * SECOND) for at in range(60)] == [0] + [None] * 59
    assert limit.admit("size", 59 * SECOND) == 0
    assert limit.admit("gap", 60 * SECOND) == 59
    assert limit.admit("gap", 61 * SECOND) is None
    assert limit.admit("gap", 200 * SECOND) == 1
