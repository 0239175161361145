"""A second pipeline in the folder of one that runs."""

from pathlib import Path

import pytest

from pipeline.base.config import load_config
from pipeline.base.errors import UserError
from pipeline.events.evidence_shelf import EvidenceShelf
from tests.workers.films import camera_film
from tests.workers.pipeline import Pipeline, streams
from workers.folder_check import check_folders


def test_a_second_pipeline_is_refused_at_once_with_the_pid_of_the_first(place: Path) -> None:
    film = camera_film(place / "film.mp4", frames=2500)
    source = streams({"id": "cam", "source": str(film), "policy": "newest"})
    output = ("--set", f"run.output_dir={place / 'outputs'}")
    with Pipeline(place, *source, *output, name="first") as first:
        first.wait_for("sink=ready")
        with Pipeline(place, *source, *output, name="second") as second:
            code = second.process.wait(60.0)
            assert second.out == "", "no worker was started"
            assert second.err == (
                f"error: {place / 'outputs'}: another pipeline is already running here "
                f"(pid {first.process.pid}): stop it, "
                "or give this run its own place, --set run.output_dir=PATH\n"
            )
            assert code == 2


def test_the_key_of_a_place_of_its_own_is_named(tmp_path: Path) -> None:
    config = load_config(None, [f"run.output_dir={tmp_path}", f"evidence.folder={tmp_path / 'e'}"])
    check_folders(config)
    with (
        EvidenceShelf(tmp_path / "e", 7, 1),
        pytest.raises(UserError, match=r"/e: another pipeline .*--set evidence\.folder=PATH"),
    ):
        check_folders(config)
    check_folders(config)
