import subprocess
import sys
import time

from pipeline.base.clock import ClockLead, now_ns


def test_it_is_unix_time() -> None:
    assert abs(now_ns() - time.time_ns()) < 60_000_000_000


def test_a_jump_of_the_wall_clock_does_not_show(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    before = now_ns()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= now_ns() - before < 60_000_000_000


def test_child_processes_share_the_clock() -> None:
    """A child started after the wall clock was set still agrees with its parent."""
    code = "import time; time.time_ns = lambda: 0\nfrom pipeline.base.clock import now_ns; print(now_ns())"
    before = now_ns()
    child = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    assert before <= child <= now_ns()


def test_the_lead_of_another_clock_is_known_up_to_the_fastest_message() -> None:
    lead, ahead = ClockLead(), 5_000_000_000
    for second, delay in enumerate([9_000_000, 2_000_000, 40_000_000]):
        heard = 10**18 + second * 10**9
        found = lead.update(heard - delay + ahead, heard)
    assert ahead - 2_000_000 - 100_000 <= found <= ahead - 2_000_000, "a second later it may have drifted"


def test_a_clock_that_drifts_is_followed() -> None:
    lead = ClockLead()
    for second in range(1000):
        heard = 10**18 + second * 10**9
        found = lead.update(heard - 1_000_000 - second * 50_000, heard)  # falls behind by 50 ppm
    assert found == -999 * 50_000 - 1_000_000


def test_messages_that_became_slow_are_not_taken_for_another_clock() -> None:
    lead = ClockLead()
    for second in range(1000):
        heard = 10**18 + second * 10**9
        found = lead.update(heard - (1_000_000 if second < 60 else 10**10), heard)
    assert -1_000_000 - 1000 * 100_000 <= found <= -1_000_000


def test_a_time_that_no_clock_can_have_is_ignored() -> None:
    lead, now = ClockLead(), 10**18
    lead.update(now, now + 5)
    assert lead.update(2**62, now + 10) == -5
