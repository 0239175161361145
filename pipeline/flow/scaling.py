"""Decides how many inference workers a fleet needs, from loss, age and load.

No I/O: maps load reports and the time to a number. Workers are added all at once and removed a few at a time.
"""

import math
from collections.abc import Collection
from typing import Annotated

import msgspec

from pipeline.base.quantities import Share, Wait
from pipeline.flow.worker_load import Pressure, PressureLimits, WorkerLoad, pressure_of

_S = 1_000_000_000
_AT_ONCE = 0.05
"""Fraction of the workers that may be removed at the same time, but at least one."""
_CALM = 0.5
"""Workers are removed only if dropped frames and prediction age are below this fraction of the limits."""

_Workers = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class ScalingPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to add or remove workers.

    Attributes:
        least: Smallest number of workers.
        most: Largest number of workers.
        goal_busy: Target fraction of time that workers spend in steps.
        keep_busy: Workers are removed only if the others would then be no busier than this.
        more_after_s: How long frames must be dropped or late before workers are added.
        more_pause_s: Pause after a change before adding more, while new workers start and get streams.
        fewer_after_s: How long load must be low, and the number of workers unchanged, before any are removed.
        limits: Limits on dropped frames and on the age of predictions.
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
    """The wanted number of workers, and a human-readable reason."""

    workers: int
    why: str


class Scaler:
    """Tracks how long workers have been overloaded or idle.

    Args:
        policy: When to add or remove workers.
    """

    def __init__(self, policy: ScalingPolicy) -> None:
        self._policy = policy
        self._suffers_since_ns: int | None = None
        self._idle_since_ns: int | None = None
        self._changed_ns: int | None = None

    def wanted(self, loads: Collection[WorkerLoad], present: int, now_ns: int, *, missing: int = 0) -> Wanted:
        """The wanted number of workers.

        Args:
            loads: The newest report of each running worker.
            present: Number of workers, including those that are starting and excluding drained ones.
            now_ns: Current time.
            missing: How many of ``present`` have not started yet; no more are added until all have.
        """
        wanted = self._wanted(loads, present, now_ns, missing)
        if wanted.workers != present:
            self._changed_ns = now_ns
            self._suffers_since_ns = self._idle_since_ns = None
        return wanted

    def _wanted(self, loads: Collection[WorkerLoad], present: int, now_ns: int, missing: int) -> Wanted:
        policy, pressure = self._policy, pressure_of(loads)
        bounded = min(max(present, policy.least), policy.most)
        if bounded != present:
            return Wanted(bounded, f"the policy allows {policy.least} to {policy.most} workers")
        dropped, age = pressure.dropped / policy.limits.dropped, pressure.age_ms / policy.limits.age_ms
        suffers = max(dropped, age) > 1 and pressure.busy >= policy.goal_busy
        fewer = max(present - max(int(_AT_ONCE * present), 1), policy.least)
        idle = max(dropped, age) < _CALM and pressure.busy * present <= policy.keep_busy * fewer
        self._suffers_since_ns = _since(self._suffers_since_ns, suffers, now_ns)
        self._idle_since_ns = _since(self._idle_since_ns, idle, now_ns)
        is_long = self._lasts(self._suffers_since_ns, policy.more_after_s, now_ns)
        if is_long and not missing and self._rested(now_ns):
            needed = math.ceil(
                pressure.busy / (1 - min(pressure.dropped, 0.9)) * len(loads) / policy.goal_busy
            )
            return Wanted(min(max(present + 1, needed), policy.most), _overload(pressure, policy.limits))
        if self._lasts(self._idle_since_ns, policy.fewer_after_s, now_ns):
            return Wanted(fewer, f"workers are busy {pressure.busy:.0%} of the time")
        return Wanted(present, "no change is due")

    def _rested(self, now_ns: int) -> bool:
        return self._changed_ns is None or now_ns - self._changed_ns >= self._policy.more_pause_s * _S

    @staticmethod
    def _lasts(since_ns: int | None, seconds: float, now_ns: int) -> bool:
        return since_ns is not None and now_ns - since_ns >= seconds * _S


def _overload(pressure: Pressure, limits: PressureLimits) -> str:
    """The values that exceed their limits, in words."""
    dropped = f"{pressure.dropped:.1%} of the frames were dropped (limit {limits.dropped:.1%})"
    late = f"predictions were {pressure.age_ms:.0f} ms old (limit {limits.age_ms:.0f} ms)"
    over = [dropped] if pressure.dropped > limits.dropped else []
    return " and ".join(over + ([late] if pressure.age_ms > limits.age_ms else []))


def _since(since_ns: int | None, is_so: bool, now_ns: int) -> int | None:
    if not is_so:
        return None
    return now_ns if since_ns is None else since_ns
