"""The control server of real workers: their health, and where it must not be."""

import signal
from pathlib import Path

import pytest

from pipeline.account.stats import WorkerStats
from pipeline.base.clock import now_ns
from pipeline.base.config import load_config
from pipeline.base.errors import ConfigError
from tests.rigs.http import ask
from tests.rigs.web_server import silent_server
from tests.support import free_port
from tests.workers.program import Program, until
from workers.control import Control, check_control


def test_a_worker_tells_its_health_from_its_start_to_its_end(place: Path) -> None:
    address = f"unix:{place / 'control'}"
    options = ("--set", f"control.listen={address}", "--set", "capture.open_timeout_s=60.0")
    with (
        silent_server() as port,
        Program(place, "capture", "--source", f"rtsp://127.0.0.1:{port}/", *options) as capture,
    ):
        until(lambda: (place / "control").exists(), "its socket", 30.0, lambda: capture.out + capture.err)
        code, told = ask(address, "GET", "/healthz")
        assert (code, told["worker"], told["role"], told["state"]) == (503, "capture", "capture", "starting")
    with Program(place, "capture", "--source", "demo", *options, name="second") as capture:
        capture.wait_for(f"control: {address}")
        code, told = ask(address, "GET", "/healthz")
        assert (code, told["state"]) == (200, "ready")
        capture.signal(signal.SIGINT)
        assert capture.finish().code == 0
    assert not (place / "control").exists()


def test_a_worker_that_hangs_says_so(place: Path) -> None:
    """Its statistics are as old as its last turn."""
    config = load_config(None, [f"control.listen=unix:{place / 'control'}", "run.hung_after_s=30"])
    stats = WorkerStats("left", "inference", 7, "box", 1, state="ready", sent_ns=now_ns())
    control = Control(config, stats, [])
    try:
        assert ask(control.address, "GET", "/healthz").code == 200
        stats.sent_ns -= 31 * 10**9
        told = {"worker": "left", "role": "inference", "state": "hung", "session": 7}
        assert ask(control.address, "GET", "/healthz") == (503, told)
    finally:
        control.close()


def test_a_token_that_can_not_be_read_is_one_line(place: Path) -> None:
    (place / "token").write_text("short")
    (place / "token").chmod(0o600)
    options = ("--set", f"control.listen=0.0.0.0:{free_port()}", "--set", f"control.token_file={place}/token")
    with Program(place, "capture", "--source", "demo", *options) as capture:
        outcome = capture.finish()
    assert outcome.code == 2, outcome.told()
    assert outcome.err.startswith("error: control.token_file: the token in")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("listen", ["localhost", "unix:", "http://127.0.0.1:8100", "127.0.0.1:port"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"control\.listen: expected host:port, unix:/path"):
        load_config(None, [f"control.listen={listen}"])


def test_a_whole_pipeline_has_no_control_server() -> None:
    with pytest.raises(ConfigError, match="run on their own"):
        check_control(load_config(None, ["control.listen=127.0.0.1:8100"]))
    check_control(load_config())
