import math

import msgspec
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.event import Event, rfc3339
from pipeline.base.watched import Watch, Zone
from pipeline.view.web.board import picture_info
from pipeline.view.web.server import WebView
from tests.view.samples import MS, frame, picture, prediction, workers
from tests.view.web.client import get

WATCH = Watch(zones={"drive": Zone(points=[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])})
LINKS = [("capture at tcp://a:1", "up"), ("inference at tcp://b:1", "up"), ("inference at tcp://c:1", "lost")]


@pytest.fixture
def view():
    with WebView("127.0.0.1", 0, watch=WATCH) as running:
        yield running


def samples(view):
    """Value by name and labels, as a Prometheus server reads them."""
    response, body = get(view, "/metrics")
    assert response.status == 200
    assert response.getheader("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(body):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found, "each series is there once"
            found[key] = sample.value
    return found


def sink_stats() -> WorkerStats:
    stats = workers(1)[2]
    stream = stats.stream("camera-0")
    stream.events = {"moving": 2}
    stats.streams['жест "手"\\'] = msgspec.structs.replace(stream, latency={})
    return stats


def test_before_anything_has_happened_it_can_be_read(view):
    assert samples(view) == {}


def test_what_the_sink_counts(view):
    view.take_stats(sink_stats(), LINKS)
    found = samples(view)
    for name in ("camera-0", 'жест "手"\\'):
        for fate, count in (("rendered", 890), ("sink.overflow", 7), ("wire.lost", 3)):
            assert found["kvq_frames_total", ("fate", fate), ("stream", name)] == count
    assert found["kvq_events_total", ("kind", "moving")] == 4
    up = {
        dict(labels)["worker"]: value for (name, *labels), value in found.items() if name == "kvq_worker_up"
    }
    assert up == {"sink": 1, "capture": 1, "inference": 0}


def test_latencies_are_a_histogram(view):
    stats = WorkerStats("sink", "sink", 1, "box", 1)
    for stream, durations_ms in (("a", (3, 40)), ("b", (40, 60_000))):
        for duration in durations_ms:
            stats.stream(stream).record("draw", duration * MS)
    view.take_stats(stats, [])
    found = samples(view)

    def at_most(seconds):
        return found["kvq_stage_latency_seconds_bucket", ("le", seconds), ("stage", "draw")]

    assert [at_most(bound) for bound in ("0.0025", "0.005", "0.025", "0.05", "10.0", "+Inf")] == [
        0,
        1,
        1,
        3,
        3,
        4,
    ]
    assert found["kvq_stage_latency_seconds_count", ("stage", "draw")] == 4
    total = found["kvq_stage_latency_seconds_sum", ("stage", "draw")]
    assert math.isclose(total, 60.083, rel_tol=0.023)


def test_what_was_handed_over_does_not_change_with_what_is_counted_later(view):
    stats = sink_stats()
    view.take_stats(stats, LINKS)
    before = samples(view)
    stats.stream("camera-0").rendered += 1
    assert samples(view) == before


def test_age_of_predictions_and_motion_in_zones(view):
    seen = frame()
    seen = type(seen)(seen.id, seen.image, capture_ns=now_ns() - 2 * 10**9)
    moving = msgspec.structs.replace(prediction(), things=[])
    view.publish("door", picture(), picture_info(seen, moving, fps=None, latency_ms=None))
    view.publish("flat", picture(), picture_info(seen, prediction(), fps=None, latency_ms=None))
    view.publish("new", picture(), picture_info(seen, None, fps=None, latency_ms=None))
    time = rfc3339(now_ns() - 30 * 10**9)
    view.tell(Event(id="1", time=time, stream_id="door", kind="moving", phase="start", zone="drive"))
    found = samples(view)
    ages = {key[1][1]: value for key, value in found.items() if key[0] == "kvq_prediction_age_seconds"}
    assert ages.keys() == {"door", "flat"}
    assert all(2 <= age < 60 for age in ages.values())
    shares = {key[1:]: value for key, value in found.items() if key[0] == "kvq_zone_moving_ratio"}
    assert shares.keys() == {(("stream", "door"), ("zone", "drive"))}
    assert 0.5 <= shares[("stream", "door"), ("zone", "drive")] <= 1
    view.end("door")
    assert not [key for key in samples(view) if ("stream", "door") in key]


def test_no_global_state(view):
    view.take_stats(sink_stats(), LINKS)
    with WebView("127.0.0.1", 0) as other:
        assert samples(other) == {}
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("kvq")]
