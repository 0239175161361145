import importlib.util
import os
import subprocess
import sys

import pytest

from tests.support import without


@pytest.mark.slow
def test_kernels_compute_what_the_model_says() -> None:
    if importlib.util.find_spec("triton") is None:
        without("Triton is not installed: it comes with torch's CUDA builds")
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.interpreted_gates"],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "equal\n", done.stderr
