"""Flow and mask on demand: sent along with predictions, and saved beside their lines."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.model.checkpoint import save_checkpoint
from tests.model.small import SIZE, small
from tests.wire.peers import frame
from tests.workers.pipeline import Pipeline
from tests.workers.program import START_S, until
from tests.workers.test_batches import taken, worker

FRAMES = 12
CELLS = SIZE // 4


@pytest.fixture
def network(place: Path) -> tuple[str, ...]:
    """Options for a network with dense motion, which knows nothing."""
    save_checkpoint(place / "motion.safetensors", small(motion=True))
    return ("--set", f"inference.checkpoint={place}/motion.safetensors", "--set", "runtime.backend=torch")


@pytest.mark.slow
@pytest.mark.parametrize("asked", [True, False])
def test_predictions_bring_flow_and_mask_if_asked(asked: bool, network: tuple[str, ...], place: Path) -> None:
    maps = ("--set", f"inference.motion_maps={str(asked).lower()}")
    with worker(place, *network, *maps) as (publisher, receiver, inference):
        for seq in range(3):
            image = np.random.default_rng(seq).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
            spaced = replace(frame(seq, "every"), image=image, capture_ns=10**9 + seq * 10**8)
            assert publisher.send_frame(spaced, timeout_s=10.0)
        got = []
        until(lambda: got.extend(taken(receiver)) or len(got) == 3, "three", START_S, lambda: inference.out)
    for one in got:
        assert one.attention is not None
        assert (one.motion_maps is not None) == asked
        if one.motion_maps is not None:
            assert one.motion_maps.flow.shape == (2, 2, CELLS, CELLS)
            assert one.motion_maps.moving.shape == (CELLS, CELLS)
    if asked:
        assert not got[0].motion_maps.flow.any(), "no past yet"
        assert got[2].motion_maps.flow.any()


@pytest.mark.slow
def test_every_line_of_predictions_has_its_file(network: tuple[str, ...], place: Path) -> None:
    folder = place / "maps"
    maps = ("--set", "inference.motion_maps=true", "--set", f"sink.motion_maps={folder}")
    with Pipeline(place, "--frames", str(FRAMES), *network, *maps) as run:
        outcome = run.finish()
    assert outcome.code == 0, outcome.told()
    assert len(outcome.predictions) == FRAMES
    assert outcome.report["motion_maps"] == {"path": str(folder)}
    assert "motion maps" in outcome.out
    assert len(list(folder.rglob("*"))) == 1 + FRAMES
    for line in outcome.predictions:
        with np.load(folder / line["stream_id"] / f"{line['capture_ns']}.npz", allow_pickle=False) as file:
            assert file["flow"].shape == (2, 2, CELLS, CELLS)
            assert (int(file["epoch"]), int(file["seq"])) == (line["epoch"], line["seq"])
            assert len(file["age_ms"]) == line["depth"]


@pytest.mark.slow
def test_a_full_disk_ends_the_maps_not_the_run(
    network: tuple[str, ...], place: Path, small_disk: Path
) -> None:
    (small_disk / "filler").write_bytes(bytes(70_000))
    maps = ("--set", "inference.motion_maps=true", "--set", f"sink.motion_maps={small_disk}/maps")
    with Pipeline(place, "--frames", "60", *network, *maps) as run:
        outcome = run.finish()
    assert outcome.code == 3, outcome.told()
    assert outcome.report["lost"] == {
        "motion_maps": f"{small_disk}/maps: can't be written: no space left on device"
    }
    assert outcome.stream("demo")["rendered"] == len(outcome.predictions) == 60
    written = list((small_disk / "maps" / "demo").iterdir())
    assert 0 < len(written) < 60
    for path in written:
        with np.load(path) as file:
            assert file["moving"].shape == (CELLS, CELLS)
