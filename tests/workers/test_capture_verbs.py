"""Streams that are added to a capture worker while it runs, and removed from it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import Mock

import psutil
import pytest

from pipeline.account.stats import MOST_STREAMS, StreamStats
from pipeline.base.config import load_config
from pipeline.flow.gaps import GapTracker
from pipeline.video.source import SourceOptions
from pipeline.view.web.verbs import Asked, VerbError
from pipeline.wire.arrivals import ReceivedFrame
from pipeline.wire.frame_receiver import FrameReceiver
from pipeline.wire.messages import EndOfStream
from tests.rigs.http import Reply, ask
from tests.wire.peers import OPEN, QUICK, until
from tests.workers.films import camera_film
from tests.workers.program import START_S, Program
from workers.capture_verbs import CaptureVerbs

CYCLES = 20


@contextmanager
def capturing(place: Path, *options: str) -> Iterator[tuple[Program, str, FrameReceiver]]:
    """A capture worker without streams, where it is asked, and a reader of all its frames."""
    address, frames = f"unix:{place}/control", f"ipc://{place}/frames"
    with (
        Program(
            place,
            "capture",
            *("--set", f"control.listen={address}", "--set", f"endpoints.frames=['{frames}']"),
            *("--set", "capture.wait_for=['inference']"),
            *options,
        ) as capture,
        FrameReceiver([frames], "inference", QUICK, OPEN) as receiver,
    ):
        capture.wait_for("control: unix:")
        yield capture, address, receiver


def camera(place: Path, **changes: Any) -> dict[str, Any]:
    """An entry of ``[[streams]]``: a film that plays as a camera does."""
    film = place / "film.mp4"
    if not film.exists():
        camera_film(film, frames=3000, width=160, height=120)
    return {"id": "gate", "source": str(film), "policy": "newest", "pace": True} | changes


def until_end(receiver: FrameReceiver, address: str, name: str) -> tuple[list[ReceivedFrame], EndOfStream]:
    """Removes a stream; what arrives of it until its end."""
    replies: list[Reply] = []
    remove = Thread(target=lambda: replies.append(ask(address, "DELETE", f"/streams/{name}")))
    remove.start()
    frames, ends = [], []

    def ended() -> bool:
        for one in receiver.poll(0.05):
            (ends if isinstance(one, EndOfStream) else frames).append(one)
        return bool(ends)

    until(ended, "the end of the stream", told=lambda: str(replies))
    remove.join(30.0)
    assert replies[0].code == 200, replies
    return [one for one in frames if isinstance(one, ReceivedFrame)], ends[0]


def some(receiver: FrameReceiver, count: int) -> list[ReceivedFrame]:
    frames: list[ReceivedFrame] = []

    def enough() -> bool:
        frames.extend(one for one in receiver.poll(0.05) if isinstance(one, ReceivedFrame))
        return len(frames) >= count

    until(enough, f"{count} frames", START_S)
    return frames


def test_a_stream_is_added_listed_and_removed(place: Path) -> None:
    with capturing(place) as (capture, address, receiver):
        assert ask(address, "GET", "/streams") == (200, {"streams": []})
        code, told = ask(address, "POST", "/streams", camera(place))
        assert (code, told["stream_id"], told["policy"]) == (201, "gate", "newest")
        assert ask(address, "POST", "/streams", camera(place)).code == 200
        assert ask(address, "POST", "/streams", camera(place, policy="every")).code == 409
        first = some(receiver, 3)
        assert {frame.header.stream_id for frame in first} == {"gate"}
        (listed,) = ask(address, "GET", "/streams").body["streams"]
        assert (listed["stream_id"], listed["state"], listed["error"]) == ("gate", "up", None)
        last, end = until_end(receiver, address, "gate")
        assert end.seq > first[-1].header.seq
        assert ask(address, "GET", "/streams") == (200, {"streams": []})
        assert ask(address, "DELETE", "/streams/gate").code == 404
        capture.signal(signal.SIGINT)
        assert capture.finish().code == 0
    assert all(frame.header.seq < end.seq for frame in last)


@pytest.mark.parametrize("policy", ["newest", "every"])
def test_a_stream_that_comes_back_goes_on_counting_and_nothing_counts_as_lost(
    policy: str, place: Path
) -> None:
    with capturing(place) as (_, address, receiver):
        gaps, lost, resets, epochs = GapTracker(), 0, [], set()
        for _ in range(3):
            assert ask(address, "POST", "/streams", camera(place, policy=policy)).code == 201
            frames = some(receiver, 4)
            more, end = until_end(receiver, address, "gate")
            for frame in [*frames, *more]:
                gap = gaps.update(frame.header.id, frame.header.skipped, frame.header.source_size)
                lost += gap.lost
                resets.append(gap.reset)
                epochs.add(frame.header.epoch)
            lost += gaps.update(end.id, end.skipped).lost
    assert (lost, epochs) == (0, {0, 1, 2})
    assert resets.count("reconnect") == 2 == sum(reset is not None for reset in resets)


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        ({"id": "gate", "source": "rtsp://"}, 400, "gate: rtsp://"),
        ({"id": "gate", "source": "/no/such/film.mp4"}, 400, "gate: /no/such/film.mp4"),
        ({"id": "gate"}, 400, "source"),
        ({"id": "gate", "source": "demo", "speed": 2}, 400, "speed"),
        ({"id": "a/b", "source": "demo"}, 400, "id"),
    ],
)
def test_what_can_not_be_right_is_one_line(entry: dict[str, Any], code: int, said: str, place: Path) -> None:
    with capturing(place) as (_, address, _receiver):
        reply = ask(address, "POST", "/streams", entry)
        assert (reply.code, "\n" in reply.body["error"]) == (code, False)
        assert said in reply.body["error"]
        assert ask(address, "GET", "/streams").body == {"streams": []}


def test_a_file_that_nobody_takes_is_removed_all_the_same(place: Path) -> None:
    """It was never started: those who have to take it are not there."""
    with capturing(place, "--set", "capture.wait_for=['inference', 'sink']") as (_, address, receiver):
        assert ask(address, "POST", "/streams", camera(place, policy="every")).code == 201
        frames, end = until_end(receiver, address, "gate")
        assert (frames, end.seq) == ([], 0)


@pytest.mark.slow
def test_twenty_cameras_that_come_and_go_leave_nothing_behind(place: Path) -> None:
    used: list[tuple[int, int, float]] = []
    with capturing(place) as (capture, address, receiver):
        process = psutil.Process(_worker(capture))
        for _ in range(CYCLES):
            assert ask(address, "POST", "/streams", camera(place)).code == 201
            some(receiver, 8)
            until_end(receiver, address, "gate")
            used.append((process.num_threads(), process.num_fds(), process.memory_info().rss / 2**20))
    settled, last = used[CYCLES // 2 - 1], used[-1]
    assert last[0] <= settled[0], used
    assert last[1] <= settled[1], used
    assert last[2] < settled[2] + 6, used


def _worker(capture: Program) -> int:
    pid: int = capture.process.pid
    return pid


def test_a_worker_that_has_had_all_its_streams_says_how_there_is_room_again() -> None:
    had = {f"s{number}": StreamStats() for number in range(MOST_STREAMS)}
    options = SourceOptions.from_config(load_config().capture)
    verbs = CaptureVerbs(list, had, Mock(), Mock(), options)
    (add,) = [verb.do for verb in verbs.all if verb.method == "POST"]
    with pytest.raises(VerbError, match=r"had 256 streams, including removed ones.* stop the process"):
        add(Asked(body=b'{"id": "more", "source": "demo"}'))
