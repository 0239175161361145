"""The steady label of a stream: a new label counts after it has led clearly for long enough.

The lead of each label over the current one, less a margin, is summed over time and never falls below zero
(CUSUM, the cumulative sum used to detect a change in noise). A label that leads only occasionally does not
accumulate, and the sum's last zero gives the time of the change.
"""

from collections.abc import Sequence

import msgspec

from pipeline.base.event import Moment

_MARGIN = 0.2
"""Required mean lead of a label's score."""
_ENOUGH_S = 0.6
"""Required lead beyond the margin, summed over time (score x seconds); takes 0.75 s at full confidence."""
_LONGEST_STEP_S = 0.5
"""Longest time credited between two predictions."""


class Held(msgspec.Struct, array_like=True, frozen=True):
    """The steady label.

    Attributes:
        label: Its name.
        score: Mean of its scores from the start of its lead until it became the steady label, 0 to 1.
        since: When its lead began.
    """

    label: str
    score: float
    since: Moment


class _Lead:
    """How far one label is ahead."""

    __slots__ = ("ahead_s", "scores", "seconds", "since")

    def __init__(self, now: Moment) -> None:
        self.since, self.ahead_s, self.scores, self.seconds = now, 0.0, 0.0, 0.0

    def see(self, score: float, lead: float, passed_s: float) -> bool:
        """Processes a prediction; returns False if the lead is lost."""
        self.ahead_s += (lead - _MARGIN) * passed_s
        self.scores += score * passed_s
        self.seconds += passed_s
        return self.ahead_s > 0

    def held(self, label: str) -> Held:
        """The label as the steady label."""
        return Held(label, self.scores / self.seconds, self.since)


class SteadyLabel:
    """Finds the steady label of one stream; call ``see`` with each prediction, in order.

    Attributes:
        held: The steady label; None before there is one.
    """

    def __init__(self) -> None:
        self.held: Held | None = None
        self._leads: dict[str, _Lead] = {}
        self._last: Moment | None = None

    def see(self, top: Sequence[tuple[str, float]], now: Moment) -> Held | None:
        """Processes the best labels and their scores; returns the steady label."""
        last, self._last = self._last or now, now
        passed_s = min((now.time_ns - last.time_ns) / 1e9, _LONGEST_STEP_S)
        scores = dict(top)
        leads: dict[str, _Lead] = {}
        for label, score in scores.items():
            if self.held and label == self.held.label:
                continue
            lead = self._leads.get(label) or _Lead(last)
            if lead.see(score, score - self._rival(label, scores), passed_s):
                leads[label] = lead
        self._leads = leads
        best = max(leads, key=lambda label: leads[label].ahead_s, default=None)
        if best is not None and leads[best].ahead_s >= _ENOUGH_S:
            self.held, self._leads = leads[best].held(best), {}
        return self.held

    def forget(self) -> None:
        """Resets the state: what follows is unrelated to what was seen before."""
        self.held, self._leads, self._last = None, {}, None

    def _rival(self, label: str, scores: dict[str, float]) -> float:
        """The score that a label must exceed: that of the steady label, or of the best other one."""
        if self.held:
            return scores.get(self.held.label, 0.0)
        return max((score for other, score in scores.items() if other != label), default=0.0)
