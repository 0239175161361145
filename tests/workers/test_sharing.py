"""Several inference workers share the streams of one pipeline."""

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from pipeline.base.config import Config, load_config
from pipeline.base.errors import ConfigError
from tests.support import free_port
from tests.workers.films import camera_film
from tests.workers.pipeline import Pipeline, quick_model, streams
from tests.workers.program import START_S, Program, until
from workers.commands.run_pipeline import run_pipeline
from workers.commands.worker import run_worker
from workers.sharing import (
    check_sharing,
    config_of,
    expected,
    own_streams,
    with_endpoints,
    worker_names,
)

CAMERAS = [f"camera{n}" for n in range(6)]


def config(*options: str, cameras: list[str] = CAMERAS) -> Config:
    tables = (
        streams(*({"id": camera, "source": "demo"} for camera in cameras))[1] if cameras else "streams=[]"
    )
    return load_config(None, [tables, *options])


def test_one_worker_takes_all_streams() -> None:
    alone = config()
    assert worker_names("inference", alone) == ["inference"]
    assert config_of("inference", "inference", alone) == alone == with_endpoints(alone)
    assert own_streams(alone) is None
    assert expected(alone) == {"capture": 1, "inference": 1, "sink": 1}


def test_each_of_several_finds_its_own_share() -> None:
    shared = with_endpoints(config("inference.workers=3", "inference.threads=2"))
    names = worker_names("inference", shared)
    assert names == ["inference-1", "inference-2", "inference-3"]
    told = [config_of(name, "inference", shared) for name in names]
    shares = Counter(stream for one in told for stream in own_streams(one) or [])
    assert shares == dict.fromkeys(CAMERAS, 1)
    assert [len(own_streams(one) or []) for one in told] == [2, 2, 2]
    assert expected(shared)["inference"] == 3
    assert worker_names("sink", shared) == ["sink"]
    assert all(one.inference.threads == 2 for one in told)


def test_each_binds_an_endpoint_of_its_own_and_all_know_the_others() -> None:
    shared = with_endpoints(config("inference.workers=2", "endpoints.predictions=['ipc:///run/p']"))
    assert shared.endpoints.predictions == ["ipc:///run/p", "ipc:///run/p-2"]
    first, second = (config_of(f"inference-{n}", "inference", shared).endpoints for n in (1, 2))
    assert first.predictions == ["ipc:///run/p", "ipc:///run/p-2"]
    assert second.predictions == ["ipc:///run/p-2", "ipc:///run/p"]
    assert second.inference_stats[0] == shared.endpoints.inference_stats[1]


def test_workers_share_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.sharing.default_threads", lambda: 8)
    shared = config("inference.workers=3")
    assert config_of("inference-1", "inference", shared).inference.threads == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["inference.workers=2", "inference.shared_by=['a', 'b']"], "only one of them"),
        (["inference.shared_by=['a', 'a']"], "same name"),
        (["inference.workers=2", "endpoints.predictions=['tcp://gpu:5556']"], r"endpoints.predictions has 1"),
        (["inference.shared_by=['a', 'b']", "inference.name=c"], "'c' is not in"),
    ],
)
def test_what_can_not_be_shared_is_one_line(options: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_sharing(config(*options))


def test_one_that_is_given_its_streams_has_none_of_its_own_and_has_to_be_told() -> None:
    assert own_streams(config("inference.assigned=true", "control.listen=127.0.0.1:0")) == []
    check_sharing(config("inference.assigned=true", "control.listen=127.0.0.1:0"))
    with pytest.raises(ConfigError, match=r"inference\.assigned needs control\.listen"):
        check_sharing(config("inference.assigned=true"))
    with pytest.raises(ConfigError, match="only one of them"):
        check_sharing(config("inference.assigned=true", "inference.shared_by=['a']", "inference.name=a"))


def test_workers_on_several_machines_need_the_list_of_streams() -> None:
    with pytest.raises(ConfigError, match=r"same \[\[streams\]\]"):
        check_sharing(config("inference.shared_by=['a', 'b']", "inference.name=a", cameras=[]))


def test_a_worker_that_is_started_by_itself_is_one() -> None:
    with pytest.raises(ConfigError, match="starts a single worker"):
        run_worker("inference", config("inference.workers=2"))


def test_what_a_pipeline_can_not_share_is_said_before_it_starts() -> None:
    too_few = config("inference.workers=2", "endpoints.predictions=['tcp://gpu:5556']")
    with pytest.raises(ConfigError, match=r"endpoints.predictions has 1"):
        run_pipeline(too_few, None)


@pytest.mark.slow
def test_two_workers_predict_each_frame_once_and_one_of_them_may_die(place: Path) -> None:
    film = camera_film(place / "film.mp4", frames=4000, width=160, height=120)
    cameras = [{"id": name, "source": str(film), "policy": "newest", "pace": True} for name in CAMERAS[:4]]
    with Pipeline(
        place, *streams(*cameras), "--set", "inference.workers=2", "--set", "run.restart_backoff_s=[0.2]"
    ) as run:
        for camera in CAMERAS[:4]:
            run.wait_for_overlays(camera, 10)
        told = with_endpoints(load_config(None, [streams(*cameras)[1], "inference.workers=2"]))
        mine, others = (own_streams(config_of(f"inference-{n}", "inference", told)) or [] for n in (1, 2))
        assert len(mine) == len(others) == 2
        predicted = {name: run.stream("inference-1", name).predicted for name in mine}
        assert all(predicted.values())
        assert not any(run.stream("inference-1", name).received for name in others)
        before = {name: run.stream("inference-2", name).predicted for name in others}
        run.kill("inference-2")
        for name in others:
            run.wait_until("inference-2", name, lambda stats: stats.predicted >= 10)
        for name in mine:
            assert run.stream("inference-1", name).predicted > predicted[name]
        assert all(before.values())
        run.signal(signal.SIGINT)
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert set(outcome.report["workers"]) == {"capture", "inference-1", "inference-2", "sink"}
    assert outcome.report["workers"]["inference-2"]["restarts"] == 1
    for name in CAMERAS[:4]:
        stream = outcome.stream(name)
        assert stream["unaccounted"] == 0
        assert stream["backbone_passes"] + stream["reused"] >= stream["predicted"]
        assert name in others or "inference.killed" not in stream["not_predicted"]
    ids = Counter((line["stream_id"], line["epoch"], line["seq"]) for line in outcome.predictions)
    assert max(ids.values()) == 1, "a frame is predicted once"


@pytest.mark.slow
def test_files_wait_for_both_workers_and_lose_nothing(place: Path) -> None:
    film = camera_film(place / "film.mp4", frames=40, width=160, height=120)
    files = [{"id": name, "source": str(film), "policy": "every"} for name in CAMERAS[:3]]
    with Pipeline(place, *streams(*files), "--set", "inference.workers=2") as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    for name in CAMERAS[:3]:
        stream = outcome.stream(name)
        assert stream["captured"] == stream["predicted"] == stream["rendered"] == 40
        assert stream["rendered_without_prediction"] == {}


@pytest.mark.slow
def test_workers_that_are_started_one_by_one_share_as_well_and_one_that_dies_hides_its_own(
    place: Path,
) -> None:
    ports = {name: free_port() for name in ("frames", "left", "right", "stats")}
    at = {name: f"tcp://127.0.0.1:{port}" for name, port in ports.items()}
    names = config("inference.shared_by=['left', 'right']", "inference.name=right", cameras=CAMERAS[:4])
    of_right = own_streams(names) or []
    of_left = [name for name in CAMERAS[:4] if name not in of_right]
    file = str(camera_film(place / "file.mp4", frames=60, width=160, height=120))
    film = str(camera_film(place / "film.mp4", frames=7500, width=160, height=120))
    cameras = streams(
        *({"id": name, "source": file, "policy": "every"} for name in (of_left[0], of_right[0])),
        *(
            {"id": name, "source": film, "policy": "newest", "pace": True}
            for name in (of_left[1], of_right[1])
        ),
    )
    common = (*cameras, "--set", f"endpoints.frames=['{at['frames']}']")
    shared = ("--set", "inference.shared_by=['left', 'right']")
    predictions, events = place / "predictions.jsonl", place / "events.jsonl"
    both = f"endpoints.predictions=['{at['left']}', '{at['right']}']"
    sink = ("--set", both, "--set", f"sink.predictions={predictions}", "--set", "run.output_dir=")
    sink = (*sink, "--set", f"sink.events={events}", "--set", "sink.latency_limit_ms=0")
    with (
        Program(place, "capture", *common, *shared, name="capture") as capture,
        Program(
            place, "inference", *common, *shared, *quick_model(), *_side("left", at), name="left"
        ) as left,
        Program(
            place, "inference", *common, *shared, *quick_model(), *_side("right", at), name="right"
        ) as right,
        Program(place, "sink", *common, *shared, *sink, "--set", "sink.web=false", name="sink") as shown,
    ):

        def predicted(*names: str) -> list[int]:
            lines = predictions.read_text("utf-8").splitlines() if predictions.exists() else []
            counts = Counter(json.loads(line)["stream_id"] for line in lines)
            return [counts[name] for name in names]

        until(
            lambda: predicted(of_left[0], of_right[0]) == [60, 60],
            "all predictions of files",
            START_S,
            lambda: shown.err,
        )
        until(lambda: min(predicted(of_left[1], of_right[1])) > 1, "predictions of cameras", START_S)
        os.kill(right.process.pid, signal.SIGKILL)
        (down,) = until(lambda: events.read_text().splitlines(), "it is told", START_S)
        assert json.loads(down)["kind"] == "worker_down"
        assert json.loads(down)["why"]["worker"] == f"inference at {at['right']}"
        assert (json.loads(down)["stream_id"], "streams" in json.loads(down)["why"]) == (of_right[1], False)
        for program in (capture, left, shown):
            os.kill(program.process.pid, signal.SIGINT)
            assert program.finish().code == 0


def _side(name: str, at: dict[str, str]) -> tuple[str, ...]:
    own = f"endpoints.predictions=['{at[name]}']"
    stats = f"endpoints.inference_stats=['ipc://{{run}}/{name}']"
    return "--set", f"inference.name={name}", "--set", own, "--set", stats
