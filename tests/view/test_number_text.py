from pipeline.view.number_text import duration, percent, short, with_reasons


def test_numbers_as_text():
    assert [short(value) for value in (None, 0.126, 0.999, 4.26, 9.96, 42.4, 1234)] == [
        "-", "0.13", "1.0", "4.3", "10", "42", "1234",
    ]  # fmt: skip
    assert [percent(share) for share in (None, 0, 0.9, 0.999, 1)] == ["-", "0%", "90%", "99%", "100%"]
    assert [duration(seconds) for seconds in (0, 59.9, 61, 3723)] == ["0:00", "0:59", "1:01", "1:02:03"]
    assert with_reasons({"b": 1, "a": 1, "c": 0, "d": 5}) == "7 (d 5, a 1, b 1)"
    assert with_reasons({}) == "0"
