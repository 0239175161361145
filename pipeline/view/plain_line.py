"""The state of a pipeline as one line, for logs."""

from collections.abc import Iterator

from pipeline.base.text import printable
from pipeline.view.number_text import duration, p50_p95_p99, percent, short
from pipeline.view.pipeline_view import LINK_LOST, PipelineView


def plain_line(view: PipelineView) -> str:
    """One line for logs: rates, latency, losses and accuracy of each stream, and the workers' state."""
    parts = [f"{duration(view.run_s)}"]
    for stream_id, stream in view.streams.items():
        captured, predicted, rendered = (short(rate) for rate in stream.fps)
        latency = "-" if stream.is_still else p50_p95_p99(stream.total.latency.get("capture_to_render"))
        words = [
            f"{stream_id} {stream.state}",
            f"fps {captured} in {predicted} predicted {rendered} shown",
            f"latency {latency} ms",
            *([stream.moving] if stream.moving else []),
            f"shown {stream.total.rendered}",
            *(stream.losses or ["dropped 0"]),
        ]
        words += [line for line in (stream.freshness, stream.advice) if line]
        if stream.accuracy is not None:
            words.append(f"accuracy {percent(stream.accuracy)}")
        parts.append(", ".join(words))
    parts.append("workers " + (" ".join(_worker_words(view)) or "none yet"))
    return printable(" | ".join(parts))


def _worker_words(view: PipelineView) -> Iterator[str]:
    for stats in view.workers:
        state, restarts = view.state(stats), view.restarts.get(stats.worker, 0)
        if state == LINK_LOST:  # name the peer, which may be the one that is down
            state += f" to {', '.join(name.split(' at ')[0] for name in stats.lost_links)}"
        yield f"{stats.worker}={state}" + (f"(restarts {restarts})" if restarts else "")
