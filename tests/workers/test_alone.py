"""Workers started one by one, as on several machines: encrypted links, any order, a monitor beside them."""

import contextlib
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.support import free_port
from tests.video.clips import write_video
from tests.workers.pipeline import quick_model
from tests.workers.program import START_S, Program, until

FRAMES = 30
WORKERS = ("capture", "inference", "sink")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of all machines, made and admitted by command; the stranger's key is not allowed."""
    place = tmp_path_factory.mktemp("site")
    for name in (*WORKERS, "monitor", "stranger"):
        command("keys", "new", name, "--dir", str(place / "keys"), place=place)
        if name != "stranger":
            allowed = str(place / "keys" / "allowed")
            command("keys", "allow", str(place / "keys" / f"{name}.key"), "--dir", allowed, place=place)
    return place / "keys"


@pytest.mark.slow
@pytest.mark.parametrize("order", [WORKERS, ("inference", "sink", "capture")])
def test_any_order_of_starting_delivers_every_frame(order: tuple[str, ...], place: Path, keys: Path) -> None:
    config = site(place, keys)
    film = write_video(place / "film.mp4", frames=FRAMES, width=320, height=240)
    arguments = {
        "capture": ("--source", str(film)),
        "inference": quick_model(),
        "sink": ("--set", "sink.web=false", "--set", "run.output_dir=", "--predictions", "predictions.jsonl"),
    }

    def start(command: str, key: str, *more: str) -> Program:
        secret = f"security.secret_key={keys / key}.key_secret"
        program = Program(place, command, "--config", str(config), "--set", secret, *more, name=key)
        return running.enter_context(program)

    with contextlib.ExitStack() as running:
        monitors = [start("monitor", key, "--report", "report.json") for key in ("monitor", "stranger")]
        programs = {role: start(role, role, *arguments[role]) for role in order}
        outcome = programs["capture"].finish()
        assert outcome.code == 0, outcome.told()
        sink = programs["sink"]
        until(lambda: sink.predictions_file.read_text().count("\n") == FRAMES, "all predictions", START_S)
        until(lambda: f"shown {FRAMES}" in monitors[0].out, "all frames in the monitor", START_S)
        monitors[1].wait_for("refuses the connection: run `keys allow")
        for program in (programs["inference"], sink):
            program.signal(signal.SIGINT)
            outcome = program.finish()
            assert outcome.code == 0, outcome.told()
        assert [line["seq"] for line in outcome.predictions] == list(range(FRAMES))
        for monitor in monitors:  # last, so that they have heard the last stats
            monitor.signal(signal.SIGINT)
        listed, stranger = (monitor.finish() for monitor in monitors)
    assert (listed.code, stranger.code) == (0, 0), listed.told() + stranger.told()
    stream = listed.stream("film")
    numbers = [stream[key] for key in ("captured", "received", "predicted", "rendered", "backbone_passes")]
    assert numbers == [FRAMES] * 5, listed.told()
    assert set(listed.report["workers"]) == set(WORKERS)
    assert stranger.report["streams"] == stranger.report["workers"] == {}
    for role in ("inference", "sink"):  # capture may have ended before the stranger came
        refused = rf"{role}: 127\.0\.0\.1: its public key \S+ is not allowed at tcp://127\.0\.0\.1:\d+: "
        assert re.search(refused, programs[role].out), "the other too"


def test_without_keys_only_when_insisted(place: Path) -> None:
    port = free_port()
    frames = f"endpoints.frames=['tcp://0.0.0.0:{port}']"
    with Program(place, "capture", "--source", "demo", "--set", frames, "--insecure") as capture:
        capture.wait_for("capture: ready")
        with socket.create_connection(("127.0.0.1", port), 5.0):
            pass
        capture.signal(signal.SIGINT)
        outcome = capture.finish()
    assert outcome.code == 0, outcome.told()
    assert outcome.err == ""


def test_a_missing_file_is_not_waited_for_even_where_an_absent_camera_is(place: Path) -> None:
    with Program(
        place, "capture", "--source", "nosuch.mp4", "--set", "capture.retry_first_open=true"
    ) as capture:
        outcome = capture.finish()
    assert outcome.code == 2, outcome.told()
    assert "nosuch.mp4: no such file" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_worker_without_listeners_says_whom_it_waits_for_and_gives_up_if_told(place: Path) -> None:
    patience = ("--set", "capture.wait_timeout_s=0.5")
    with Program(place, "capture", "--source", "demo", *patience) as capture:
        outcome = capture.finish()
    assert outcome.code == 2, outcome.told()
    assert outcome.err.startswith("error: no listeners: inference and sink did not connect within 0.5 s")
    assert outcome.err.count("\n") == 1


def test_who_waits_says_that_a_key_is_refused(place: Path, keys: Path) -> None:
    config = site(place, keys)

    def with_key(command: str, key: str, *more: str) -> Program:
        secret = f"security.secret_key={keys / key}.key_secret"
        return Program(
            place, command, "--config", str(config), "--set", secret, *more, name=f"{command}-{key}"
        )

    with with_key("capture", "capture", "--source", "demo") as capture:
        with with_key("sink", "stranger", "--no-web", "--set", "run.output_dir=") as sink:
            sink.wait_for("sink: ready")
            capture.wait_for(
                r"waiting for inference and sink .*; peers refused here .*127\.0\.0\.1 \(public key \S+\)"
            )
            sink.signal(signal.SIGINT)
            assert sink.finish().code == 0
        with with_key("monitor", "stranger", "--seconds", "15") as monitor:
            outcome = monitor.finish()
        capture.signal(signal.SIGINT)
        assert capture.finish().code == 0
    assert outcome.code == 2, outcome.told()
    assert outcome.err.startswith("error: no worker answers this monitor: tcp://127.0.0.1:")
    assert "refuses the connection: run `keys allow" in outcome.err


def site(place: Path, keys: Path) -> Path:
    """The configuration that all machines share."""
    endpoints = ("frames", "predictions", *(f"{role}_stats" for role in WORKERS))
    lines = ["[endpoints]", *(f'{name} = ["tcp://127.0.0.1:{free_port()}"]' for name in endpoints)]
    lines += ["[security]", f'allowed = "{keys / "allowed"}"', "[security.servers]"]
    lines += [f'{role} = "{keys / role}.key"' for role in WORKERS]
    config = place / "site.toml"
    config.write_text("\n".join(lines))
    return config


def command(*arguments: str, place: Path) -> None:
    with Program(place, *arguments, name="keys-command") as program:
        outcome = program.finish()
    assert outcome.code == 0, outcome.told()
