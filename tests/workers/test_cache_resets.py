"""Why a cache is emptied; what follows from it is in test_inference_stream."""

import numpy as np

from pipeline.account.stats import StreamStats
from pipeline.base.frame import Frame, FrameId
from workers.cache_resets import CacheResets

MS = 1_000_000


def frame(at_ms: int) -> Frame:
    return Frame(FrameId("door", 1, 0, 0), np.zeros((8, 8, 3), np.uint8), at_ms * MS)


def test_a_gap_is_counted_from_the_frame_before_also_where_another_worker_had_it() -> None:
    stats, told = StreamStats(), list[str]()
    resets = CacheResets("door", 1000.0, told.append)
    assert resets.before(frame(0), None, stats, 0) is None
    assert resets.before(frame(1000), None, stats, 0) is None
    resets.last_ns = 5000 * MS
    assert resets.before(frame(6000), None, stats, 0) is None
    assert resets.before(frame(7001), None, stats, 0) == "gap"
    assert resets.before(frame(7001), None, stats, 0) == "time_jump"
    assert resets.before(frame(7002), "reconnect", stats, 0) == "reconnect"
    assert stats.resets == {"gap": 1, "time_jump": 1, "reconnect": 1}
    assert [line.partition(" (")[2] for line in told] == [
        f"cache reset: {why})" for why in ("gap", "time_jump", "reconnect")
    ]
    assert told[0].startswith(
        "door: past frames discarded, because no frame arrived for longer than history.m"
    )
