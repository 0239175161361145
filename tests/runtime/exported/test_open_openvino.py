"""Which precision OpenVINO computes in, and what bfloat16 leaves in float32."""

from typing import Any

import numpy as np
import pytest

from pipeline.model.device import DeviceError
from pipeline.runtime.exported import open_openvino as opening
from pipeline.runtime.exported.open_openvino import capabilities, choose_precision, open_openvino
from pipeline.runtime.open_torch import open_torch
from pipeline.runtime.runtime_options import Options
from tests.model.small import small
from tests.support import need_module

# as OpenVINO names them, without and with instructions for bfloat16
EPYC_MILAN = ["FP32", "INT8", "BIN", "EXPORT_IMPORT"]
XEON_SAPPHIRE_RAPIDS = ["FP32", "INT8", "BIN", "FP16", "BF16", "EXPORT_IMPORT"]


@pytest.mark.parametrize(
    ("wish", "processor", "chosen"),
    [
        ("auto", EPYC_MILAN, "fp32"),
        ("auto", XEON_SAPPHIRE_RAPIDS, "bf16"),
        ("bf16", XEON_SAPPHIRE_RAPIDS, "bf16"),
        ("fp32", XEON_SAPPHIRE_RAPIDS, "fp32"),
        ("int8", EPYC_MILAN, "int8"),
        ("int8", XEON_SAPPHIRE_RAPIDS, "int8"),
    ],
    ids=str,
)
def test_bfloat16_is_chosen_where_the_processor_has_it(wish: str, processor: list[str], chosen: str) -> None:
    assert choose_precision(wish, processor) == chosen


def test_bfloat16_on_a_processor_without_it_is_one_line() -> None:
    with pytest.raises(DeviceError, match="no instructions for bfloat16: choose auto") as refused:
        choose_precision("bf16", EPYC_MILAN)
    assert "\n" not in str(refused.value)


def test_this_processor_gets_what_it_has() -> None:
    need_module("openvino", "openvino")
    runtime = open_openvino(small(), Options(threads=1, report=lambda line: None))
    assert runtime.describe()["precision"] == ("bf16" if "BF16" in capabilities() else "fp32")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_features_in_bfloat16_and_an_answer_in_float32_are_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without bfloat16 takes float32 instead; how the parts are joined is seen all the same."""
    need_module("openvino", "openvino")
    monkeypatch.setattr(opening, "capabilities", lambda: XEON_SAPPHIRE_RAPIDS)
    model = small(motion=True)
    runtime, exact = open_openvino(model, Options(threads=1, report=lambda line: None)), open_torch(model)
    assert runtime.describe()["precision"] == "bf16"
    rng = np.random.default_rng(0)
    pasts: list[list[list[Any]]] = [[[None, None] for _ in range(2)] for _ in range(2)]
    for _ in range(3):
        images = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(2)]
        found = []
        for player, past in zip((runtime, exact), pasts, strict=True):
            step = player.infer(images, past, want_attention=True)
            memories = step.remember()
            again = player.infer(images, past, want_attention=True, known=memories)
            past[:] = [[*slots[1:], new.entry] for slots, new in zip(past, memories, strict=True)]
            found.append([*step.results, *again.results])
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=0.05)
            off = np.abs(ours.motion.moving - theirs.motion.moving)
            assert np.quantile(off, 0.9) < 0.05
