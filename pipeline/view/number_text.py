"""Formats counts, percentiles and times as short text."""

from collections.abc import Mapping
from typing import Final

from pipeline.account.stats import Histogram

_STAGES: Final = {"before_step": "capture to step", "sink_wait": "wait for prediction"}


def stage_name(stage: str) -> str:
    """A stage of ``latency_ms`` as the terminal names it."""
    return _STAGES.get(stage, stage.replace("_", " "))


def with_reasons(counts: Mapping[str, int]) -> str:
    """Counts such as ``12 (wire.lost 10, sink.overflow 2)``, largest first."""
    reasons = sorted(
        ((count, name) for name, count in counts.items() if count), key=lambda one: (-one[0], one[1])
    )
    detail = ", ".join(f"{name} {count}" for count, name in reasons)
    return f"{sum(counts.values())} ({detail})" if detail else "0"


def short(value: float | None) -> str:
    """A number in at most four characters if possible: 0.42, 4.2, 42, 4200."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 0.995 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def p50_p95_p99(histogram: Histogram | None) -> str:
    """Three percentiles in ms as ``12/18/25``."""
    if histogram is None:
        return "-"
    return "/".join(short(histogram.percentile(percent)) for percent in (50, 95, 99))


def percent(share: float | None) -> str:
    """A share as ``98%``, rounded down so that 100% means all."""
    return "-" if share is None else f"{int(share * 100 + 1e-9)}%"


def duration(seconds: float) -> str:
    """Seconds as ``0:42`` or ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
