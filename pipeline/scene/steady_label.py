"""The steady label of a stream: a new label counts after it has led clearly for long enough.

What each label is ahead of the one that counts is added up over time, less a margin, and never below zero
(a cumulative sum, as for finding a change in noise). So a label that leads now and then gets nowhere, and the
sum's last zero says when the change happened.
"""

from collections.abc import Sequence

import msgspec

from pipeline.base.event import Moment

_MARGIN = 0.2
"""By which a label's score has to be ahead, on average."""
_ENOUGH_S = 0.6
"""Seconds by which it has to be ahead in all, each times its lead beyond the margin: 0.75 s of being sure."""
_LONGEST_STEP_S = 0.5
"""Between two looks; what was seen in a longer one is not known."""


class Held(msgspec.Struct, array_like=True, frozen=True):
    """The label that counts.

    Attributes:
        label: Its name.
        score: Mean of its scores from when it led until it counted, 0 to 1.
        since: When it began to lead.
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
        """Takes in a look; False if it has lost its lead."""
        self.ahead_s += (lead - _MARGIN) * passed_s
        self.scores += score * passed_s
        self.seconds += passed_s
        return self.ahead_s > 0

    def held(self, label: str) -> Held:
        """As the label that counts."""
        return Held(label, self.scores / self.seconds, self.since)


class SteadyLabel:
    """Follows the labels of one stream; ``see`` is called with each look, in order.

    Attributes:
        held: The label that counts; None before there is one.
    """

    def __init__(self) -> None:
        self.held: Held | None = None
        self._leads: dict[str, _Lead] = {}
        self._last: Moment | None = None

    def see(self, top: Sequence[tuple[str, float]], now: Moment) -> Held | None:
        """Takes in the best labels with their scores, and says which one counts now."""
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
        """What comes now has nothing to do with what was seen before."""
        self.held, self._leads, self._last = None, {}, None

    def _rival(self, label: str, scores: dict[str, float]) -> float:
        """The score that a label has to be ahead of: of the one that counts, or of the best other one."""
        if self.held:
            return scores.get(self.held.label, 0.0)
        return max((score for other, score in scores.items() if other != label), default=0.0)
