"""Metrics of the sink in Prometheus text format."""

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.account.stats import Histogram, WorkerStats
from pipeline.base.clock import now_ns
from pipeline.view.web.board import Board
from pipeline.view.web.zones_and_lines import ZonesAndLines

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics(Collector):
    """The metrics of one sink.

    Args:
        board: The sink's images.
        watched: Its zones and lines.
    """

    def __init__(self, board: Board, watched: ZonesAndLines) -> None:
        self._board, self._watched = board, watched
        self._stats = b""
        self._links: list[tuple[str, str]] = []

    def take_stats(self, stats: WorkerStats, links: Iterable[tuple[str, str]]) -> None:
        """Updates the sink's statistics and the states of its links by name; does not block."""
        self._links = list(links)
        self._stats = msgspec.msgpack.encode(stats)  # a copy: the sink keeps updating it

    def text(self) -> bytes:
        """All current metrics."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics, for a registry."""
        stats = msgspec.msgpack.decode(self._stats, type=WorkerStats) if self._stats else None
        if stats is not None:
            yield _frames(stats)
            yield _unpredicted(stats)
            yield _latency(stats)
            yield _events(stats)
        yield self._workers(stats)
        yield from self._of_pictures()

    def _workers(self, stats: WorkerStats | None) -> Metric:
        metric = GaugeMetricFamily(
            "kvq_worker_up",
            "1 for the sink itself, and for workers on other machines if all links to them work",
            labels=["worker"],
        )
        up = {stats.worker: True} if stats else {}
        for name, state in self._links:
            role = name.partition(" at ")[0]
            up[role] = up.get(role, True) and state == "up"
        for worker, is_up in up.items():
            metric.add_metric([worker], float(is_up))
        return metric

    def _of_pictures(self) -> Iterator[Metric]:
        ages = GaugeMetricFamily(
            "kvq_prediction_age_seconds",
            "Time since the capture of the newest frame that was shown with its prediction",
            labels=["stream"],
        )
        moving = GaugeMetricFamily(
            "kvq_zone_moving_ratio",
            "Share of the last minute in which something moved in a zone",
            labels=["stream", "zone"],
        )
        now, ended = now_ns(), set(self._board.ended)
        for stream_id in self._board.stream_ids:
            picture = self._board.newest(stream_id)
            if stream_id in ended or picture is None or picture.predicted is None:
                continue
            told = picture.predicted.info
            ages.add_metric([stream_id], max(now - told["capture_ns"], 0) / 1e9)
            if told["moving"] is not None:  # without dense motion nothing is known about zones
                for zone, share in self._watched.moving.shares(stream_id, now).items():
                    moving.add_metric([stream_id, zone], share)
        yield ages
        yield moving


def _frames(stats: WorkerStats) -> Metric:
    metric = CounterMetricFamily(
        "kvq_frames",
        "Frames finished in the sink, by fate",
        labels=["stream", "fate"],
    )
    for name, stream in stats.streams.items():
        for fate, count in {"rendered": stream.rendered, **stream.dropped}.items():
            metric.add_metric([name, fate], count)
    return metric


def _unpredicted(stats: WorkerStats) -> Metric:
    metric = CounterMetricFamily(
        "kvq_unpredicted_frames",
        "Frames that were shown without their own prediction",
        labels=["stream", "why"],
    )
    for name, stream in stats.streams.items():
        for why in ("skipped", "timeout"):
            metric.add_metric([name, why], stream.rendered_without.get(why, 0))
    return metric


def _latency(stats: WorkerStats) -> Metric:
    metric = HistogramMetricFamily(
        "kvq_stage_latency_seconds",
        "Durations of the stages in the sink, accurate to 2.2 %",
        labels=["stage"],
    )
    stages: dict[str, Histogram] = {}
    for stream in stats.streams.values():
        for stage, durations in stream.latency.items():
            stages.setdefault(stage, Histogram()).merge(durations)
    for stage, durations in stages.items():
        values = [(ms / 1e3, count) for ms, count in durations.centres()]
        buckets = [(str(bound), sum(n for s, n in values if s <= bound)) for bound in _BOUNDS_S]
        metric.add_metric(
            [stage], [*buckets, ("+Inf", durations.total)], sum_value=sum(s * n for s, n in values)
        )
    return metric


def _events(stats: WorkerStats) -> Metric:
    metric = CounterMetricFamily(
        "kvq_events", "Events by kind; an event with a start and an end counts once", labels=["kind"]
    )
    kinds: Counter[str] = Counter()
    for stream in stats.streams.values():
        kinds.update(stream.events)
    for kind, count in kinds.items():
        metric.add_metric([kind], count)
    return metric
