"""torchvision without the operators that belong to it, as where it was built for another torch."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from tests.training.tiny import command


@pytest.fixture
def unfit(tmp_path: Path) -> dict[str, str]:
    """An environment in which torchvision's compiled operators can't be loaded."""
    found = importlib.util.find_spec("torchvision")
    assert found is not None
    assert found.origin is not None
    without = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(Path(found.origin).parent, tmp_path / "torchvision", ignore=without)
    return os.environ | {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--samples", "4"],
        ["train", "--out", "never"],
        ["--headless", "--no-web", "--set", "runtime.backend=torch", "--set", "run.output_dir="],
    ],
    ids=["evaluate", "train", "pipeline"],
)
def test_a_torchvision_for_another_torch_is_one_line(unfit: dict[str, str], arguments: list[str]) -> None:
    ended = command(*arguments, env=unfit)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("error: torchvision does not match torch ")
    assert "(operator torchvision::nms does not exist): install both" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stdout
