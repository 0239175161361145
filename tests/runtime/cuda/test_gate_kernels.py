import importlib.util
import os
import subprocess
import sys

import pytest

from tests.support import without

OLD = """
import sys
import torch
import triton.language.extra.cuda
cuda = sys.modules["triton.language.extra.cuda"]
del cuda.gdc_wait, cuda.gdc_launch_dependents  # as in the Triton of torch 2.6 and 2.7
from pipeline.runtime.cuda import gate_kernels
assert not gate_kernels._CAN_WAIT
from tests.runtime.cuda.interpreted_gates import block_ends_are_those_of_cbam
block_ends_are_those_of_cbam(8, 128, 1, 2, shifted=True)
block_ends_are_those_of_cbam(1, 512, 6, 6, shifted=False)
print("equal")
"""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("-m", "tests.runtime.cuda.interpreted_gates"), ("-c", OLD)])
def test_kernels_compute_what_the_model_says(arguments: tuple[str, ...]) -> None:
    if importlib.util.find_spec("triton") is None:
        without("Triton is not installed: it comes with torch's CUDA builds")
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "equal\n", done.stderr
