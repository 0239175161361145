"""The page's port is tried before anything starts, and nothing is left behind if it is taken."""

from pathlib import Path

import pytest

from pipeline.base.config import load_config
from pipeline.view.web.page_port import WebError, bind_page
from tests.workers.program import Program
from workers.page_check import check_page


def test_a_free_port_stays_free_and_a_taken_one_is_refused() -> None:
    with bind_page("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
        with pytest.raises(WebError, match="is another KVQ Stream running"):
            check_page(load_config(overrides=[f"sink.web_port={port}"]))
        check_page(load_config(overrides=[f"sink.web_port={port}", "sink.web=false"]))
    check_page(load_config(overrides=[f"sink.web_port={port}"]))
    bind_page("127.0.0.1", port).close()


@pytest.mark.parametrize("command", [["--source", "demo"], ["sink"]], ids=["run", "sink"])
def test_a_taken_port_costs_no_file(command: list[str], place: Path) -> None:
    earlier = place / "earlier.jsonl"
    earlier.write_text("of an earlier run\n")
    options = ["--headless", "--predictions", str(earlier), "--events", str(place / "new" / "events.jsonl")]
    with bind_page("127.0.0.1", 0) as other:
        port = ["--set", f"sink.web_port={other.getsockname()[1]}"]
        with Program(place, *command, *options, *port) as program:
            outcome = program.finish(60.0)
    assert outcome.code == 2, outcome.told()
    assert "is another KVQ Stream running" in outcome.err
    assert (outcome.out, outcome.err.count("\n")) == ("", 1), "no worker was started"
    assert {path.name for path in program.folder.iterdir()} == {"stdout.txt", "stderr.txt"}
    assert earlier.read_text() == "of an earlier run\n"
    assert not (place / "new").exists()
