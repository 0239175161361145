"""Decides how many inference workers a fleet needs, from loss, age and load.

Pure: reports and the time in, a number out. More come at once, they go a few at a time.
"""

import math
from collections.abc import Collection
from typing import Annotated

import msgspec

from pipeline.base.quantities import Share, Wait
from pipeline.flow.worker_load import PressureLimits, WorkerLoad, pressure_of

_S = 1_000_000_000
_AT_ONCE = 0.05
"""Part of the workers that may be given back at the same time, but at least one."""
_CALM = 0.5
"""None is given back unless frames dropped and their age are below so much of the limits."""

_Workers = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class ScalingPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When there are to be more workers or fewer.

    Attributes:
        least: Never fewer.
        most: Never more.
        goal_busy: Share of their time that workers are to spend in steps when there are enough.
        keep_busy: None is given back if the others would be busier than that.
        more_after_s: Frames must be dropped or late for so long.
        more_pause_s: So long after a change no more are asked for: new ones take time to start and to fill.
        fewer_after_s: All must be well for so long, and nothing have changed.
        limits: From when on frames dropped and their age are too much.
    """

    least: _Workers = 1
    most: _Workers = 8
    goal_busy: Share = 0.7
    keep_busy: Share = 0.6
    more_after_s: Wait = 10.0
    more_pause_s: Wait = 60.0
    fewer_after_s: Wait = 120.0
    limits: PressureLimits = PressureLimits()


class Wanted(msgspec.Struct, frozen=True):
    """How many workers there are to be, and why in plain words."""

    workers: int
    why: str


class Scaler:
    """Remembers for how long frames were lost, or all was well.

    Args:
        policy: When there are to be more workers or fewer.
    """

    def __init__(self, policy: ScalingPolicy) -> None:
        self._policy = policy
        self._suffers_since_ns: int | None = None
        self._idle_since_ns: int | None = None
        self._changed_ns: int | None = None

    def wanted(self, loads: Collection[WorkerLoad], present: int, now_ns: int) -> Wanted:
        """How many workers there are to be now.

        Args:
            loads: The newest report of each worker that is up.
            present: How many there are, those that are starting included, those that are being emptied not.
            now_ns: The time.
        """
        wanted = self._wanted(loads, present, now_ns)
        if wanted.workers != present:
            self._changed_ns = now_ns
            self._suffers_since_ns = self._idle_since_ns = None
        return wanted

    def _wanted(self, loads: Collection[WorkerLoad], present: int, now_ns: int) -> Wanted:
        policy, pressure = self._policy, pressure_of(loads)
        bounded = min(max(present, policy.least), policy.most)
        if bounded != present:
            return Wanted(bounded, f"there are to be {policy.least} to {policy.most}")
        dropped, age = pressure.dropped / policy.limits.dropped, pressure.age_ms / policy.limits.age_ms
        said = f"{pressure.dropped:.1%} of the frames dropped, predictions {pressure.age_ms:.0f} ms old"
        suffers = max(dropped, age) > 1 and pressure.busy >= policy.goal_busy
        fewer = max(present - max(int(_AT_ONCE * present), 1), policy.least)
        idle = max(dropped, age) < _CALM and pressure.busy * present <= policy.keep_busy * fewer
        self._suffers_since_ns = _since(self._suffers_since_ns, suffers, now_ns)
        self._idle_since_ns = _since(self._idle_since_ns, idle, now_ns)
        if self._lasts(self._suffers_since_ns, policy.more_after_s, now_ns) and self._rested(now_ns):
            needed = math.ceil(
                pressure.busy / (1 - min(pressure.dropped, 0.9)) * len(loads) / policy.goal_busy
            )
            return Wanted(min(max(present + 1, needed), policy.most), said)
        if self._lasts(self._idle_since_ns, policy.fewer_after_s, now_ns):
            return Wanted(fewer, f"workers are busy for {pressure.busy:.0%} of their time")
        return Wanted(present, said)

    def _rested(self, now_ns: int) -> bool:
        return self._changed_ns is None or now_ns - self._changed_ns >= self._policy.more_pause_s * _S

    @staticmethod
    def _lasts(since_ns: int | None, seconds: float, now_ns: int) -> bool:
        return since_ns is not None and now_ns - since_ns >= seconds * _S


def _since(since_ns: int | None, is_so: bool, now_ns: int) -> int | None:
    if not is_so:
        return None
    return now_ns if since_ns is None else since_ns
