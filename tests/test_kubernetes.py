"""The example manifests: they parse, fit together, and hold configurations that the program takes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.account.stats import StreamStats, WorkerStats
from pipeline.base.config import Config, load_config
from pipeline.base.watched import Watch
from pipeline.scene.crossing_counts import CrossingCounts
from pipeline.view.web.board import Board
from pipeline.view.web.exposition import Metrics
from pipeline.view.web.zones_and_lines import ZonesAndLines
from workers.commands.app import app
from workers.sharing import check_sharing

FOLDER = Path(__file__).parents[1] / "docs" / "kubernetes"


def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    found = [one for file in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load_all(file.read_text())]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def configuration(name: str, file: str, folder: Path) -> Config:
    (folder / file).write_text(manifests()["ConfigMap", name]["data"][file])
    return load_config(folder / file)


def test_each_has_what_kubernetes_needs_to_know_it() -> None:
    for (kind, name), manifest in manifests().items():
        assert manifest["apiVersion"], (kind, name)
        spec = manifest.get("spec", {})
        if "template" in spec:
            labels = spec["template"]["metadata"]["labels"]
            assert spec["selector"]["matchLabels"].items() <= labels.items()
            pod = spec["template"]["spec"]
            volumes = {volume["name"] for volume in pod["volumes"]}
            mounted = {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]}
            assert mounted <= volumes
            secrets = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
            assert all(secret["defaultMode"] == 0o400 for secret in secrets), "the program refuses others"


def test_inference_waits_to_be_told_and_is_ready_when_it_says_so(tmp_path: Path) -> None:
    config = configuration("kvq-inference", "inference.toml", tmp_path)
    check_sharing(config)
    assert config.inference.assigned
    container = manifests()["StatefulSet", "inference"]["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] == "/healthz"
        assert config.control.listen == f"0.0.0.0:{ports[asked['port']]}"
    service = manifests()["Service", "inference"]["spec"]
    bound = {
        int(where.rpartition(":")[2])
        for where in (*config.endpoints.predictions, *config.endpoints.inference_stats)
    }
    assert {port["port"] for port in service["ports"]} == bound | {ports["control"]}


@pytest.mark.parametrize(("kind", "name"), [("StatefulSet", "inference"), ("Deployment", "sink")])
def test_the_programs_take_their_arguments(kind: str, name: str) -> None:
    container = manifests()[kind, name]["spec"]["template"]["spec"]["containers"][0]
    command, *options = container["args"]
    assert command in {one.name or one.callback.__name__ for one in app.registered_commands}
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert options[0] == "--config"
    assert str(Path(options[1]).parent) in mounts


def test_the_sink_knows_as_many_workers_as_there_may_be(tmp_path: Path) -> None:
    config = configuration("kvq-sink", "sink.toml", tmp_path)
    most = manifests()["ScaledObject", "inference"]["spec"]["maxReplicaCount"]
    wanted = [f"tcp://inference-{number}.inference" for number in range(most)]
    for places in (config.endpoints.predictions, config.endpoints.inference_stats):
        assert [where.rpartition(":")[0] for where in places] == wanted


def test_workers_are_asked_for_by_metrics_that_the_sink_has() -> None:
    stats = WorkerStats("sink", "sink", 1, "host", 1, streams={"gate": StreamStats()})
    metrics = Metrics(Board(), ZonesAndLines(Watch(), CrossingCounts()))
    metrics.take_stats(stats, [])
    known = set(re.findall(r"^(kvq_\w+)", metrics.text().decode(), re.MULTILINE))
    # of a gauge there is nothing before the first picture
    known |= set(
        re.findall(r"`(kvq_\w+)[^`]*` \| gauge", (FOLDER.parent / "reference" / "http.md").read_text())
    )
    for trigger in manifests()["ScaledObject", "inference"]["spec"]["triggers"]:
        (name,) = re.findall(r"kvq_\w+", trigger["metadata"]["query"])
        assert name in known, name
        assert float(trigger["metadata"]["threshold"]) > 0
