"""The commands of ``fleet`` on a Ray cluster of two small nodes that requires a token."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.wire.keys import allow, new_keys
from tests.support import need_module, until
from tests.workers.pipeline import quick_model
from tests.workers.program import PROGRAM, RUN_S, START_S, STARTED_AS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CLUSTER = """
import sys
from pathlib import Path
from ray.cluster_utils import Cluster
few = {"num_cpus": 2, "object_store_memory": 80 * 2**20}
made = Cluster(
    initialize_head=True, head_node_args={"labels": {"part": "cameras"}, "include_dashboard": False, **few}
)
made.add_node(labels={"part": "inference"}, **few)
print(made.address, flush=True)
sys.stdin.read()
made.shutdown()
"""
FLEET = """
name = "yard"
pipeline = "pipeline.toml"
[inference]
cpus = 2
labels = { part = "inference" }
scaling = { least = 2, most = 8 }
[capture.yard]
labels = { part = "cameras" }
[sink]
labels = { part = "cameras" }
[[streams]]
id = "gate"
source = "demo"
pace = true
"""


@dataclass
class Small:
    """A cluster with room for one inference worker of two CPUs, next to capture and the sink."""

    folder: Path
    address: str

    def environment(self, **variables: str) -> dict[str, str]:
        others = {key: text for key, text in os.environ.items() if not key.startswith("RAY_")}
        return others | {"COLUMNS": "200"} | variables

    def with_token(self) -> dict[str, str]:
        return self.environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(self.folder / "token"))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(PROGRAM), "fleet", *arguments, "--address", self.address]

    def run(
        self, *arguments: str, code: int = 0, environment: dict[str, str] | None = None
    ) -> tuple[str, str]:
        """Runs a command; what it printed, and its errors."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=environment or self.with_token(),
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout, done.stderr

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run("status", "--fleet", "yard", "--json")[0])
        return told


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    need_module("ray", "ray")
    small = Small(tmp_path_factory.mktemp("small"), "")
    (small.folder / "token").write_text(secrets.token_hex(32))
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        env=small.with_token(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        small.address = process.stdout.readline().strip()
        yield small
        process.stdin.close()


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({}, "RAY_AUTH_TOKEN_PATH is not set: run `export RAY_AUTH_MODE=token "),
        ({"RAY_AUTH_MODE": "token"}, "RAY_AUTH_TOKEN_PATH is not set: run `export "),
        ({"RAY_AUTH_TOKEN_PATH": "token"}, "RAY_AUTH_MODE is not set to token: run `export "),
        (
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "nosuch"},
            "RAY_AUTH_TOKEN_PATH=nosuch is not a file with a token: copy ",
        ),
        (
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "wrong"},
            "the token in wrong is not the cluster's: copy ",
        ),
    ],
    ids=["nothing", "no-path", "no-mode", "no-file", "wrong"],
)
def test_without_the_token_one_line_names_the_cause(
    cluster: Small, variables: dict[str, str], why: str
) -> None:
    (cluster.folder / "wrong").write_text("0" * 64)
    out, errors = cluster.run(
        "status", code=2, environment=cluster.environment(HOME=str(cluster.folder), **variables)
    )
    assert out == ""
    [line] = errors.splitlines()
    assert line.startswith(f"error: Ray at '{cluster.address}' requires its token: {why}"), line


def test_a_fleet_that_needs_more_room_than_there_is(cluster: Small) -> None:
    """``up`` and ``status`` name what is missing; a drain without another worker does not wait in silence."""
    write_configuration(cluster.folder)
    quiet = (*quick_model(), "--set", "sink.web=false", "--set", "run.output_dir=")
    out, errors = cluster.run("up", "--config", "fleet.toml", "--wait", "20", *quiet, code=1)
    needs = r"^(inference-\d): waits for 2 CPUs on a node labelled part=inference; free: 0 on [0-9.]+$"
    found = re.search(needs, out, re.MULTILINE)
    assert found, out
    assert "" not in out.splitlines()
    assert re.fullmatch(f"not ready after 20 s: .*{found[1]}.*; the fleet keeps running\n", errors)
    assert re.search(needs, cluster.run("status", "--fleet", "yard")[0], re.MULTILINE)
    assert "fleet 'kvq' is not up: running fleets: yard; " in cluster.run("status", code=2)[1]
    there = "inference-1" if found[1] == "inference-2" else "inference-2"
    until(lambda: cluster.status()["streams"]["gate"]["worker"] == there, "it is placed", START_S)
    out, _ = cluster.run("drain", there, "--fleet", "yard", "--wait", "1", code=1)
    first, last = out.splitlines()
    assert first.startswith("no other worker can take 1 stream: waiting up to 1 s; Ctrl-C stops waiting, ")
    assert f"`fleet undrain {there} --fleet yard`" in first
    assert last == f"{there}: 1 stream left"
    with subprocess.Popen(
        cluster.command("drain", there, "--fleet", "yard"),
        cwd=cluster.folder,
        env=cluster.with_token(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stdout
        assert waiting.stdout.readline().startswith("no other worker can take 1 stream: ")
        waiting.send_signal(signal.SIGINT)
        _, errors = waiting.communicate(timeout=RUN_S)
    assert (waiting.returncode, errors) == (130, "")
    assert cluster.run("undrain", there, "--fleet", "yard")[0] == f"{there}: accepts streams again\n"
    assert cluster.status()["streams"]["gate"]["worker"] == there
    cluster.run("down", "--fleet", "yard")
    assert cluster.run("status", "--fleet", "yard", code=2)[1] == (
        f"error: fleet 'yard' is not up: start it with `{STARTED_AS} fleet up --config FILE`\n"
    )


def write_configuration(folder: Path) -> None:
    public, secret = new_keys(folder / "keys", "fleet")
    allow(folder / "allowed", public)
    servers = "\n".join(f'{role} = "{public}"' for role in ("capture", "inference", "sink"))
    security = f'[security]\nsecret_key = "{secret}"\nallowed = "{folder / "allowed"}"\n'
    (folder / "pipeline.toml").write_text(f"{security}[security.servers]\n{servers}\n")
    (folder / "fleet.toml").write_text(FLEET)
