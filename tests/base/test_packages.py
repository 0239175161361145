import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.packages import MissingPackageError, load_package
from tests.support import need_module

ROOT = Path(__file__).parents[2]


def test_a_missing_package_is_one_line_with_the_command() -> None:
    with pytest.raises(MissingPackageError) as caught:
        load_package("no_such_package", "openvino")
    message = str(caught.value)
    assert "no_such_package" in message
    assert "pip install 'kvq-stream[openvino]'" in message
    assert "\n" not in message


def test_openvino_loads_without_its_telemetry() -> None:
    need_module("openvino", "openvino")
    code = (
        "import sys\n"
        "from pipeline.base.packages import load_package\n"
        "load_package('openvino', 'openvino').Core()\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["inference", "--set", "runtime.backend=openvino"], "openvino is not installed: pip install "),
        (["export", "--out", "step.xml"], "openvino is not installed: pip install "),
    ],
    ids=["inference", "export"],
)
def test_commands_say_what_to_install(tmp_path: Path, command: list[str], said: str) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['openvino'] = None\n")
    done = subprocess.run(
        [sys.executable, ROOT / "run_stream.py", *command],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {said}")
    assert "pip install 'kvq-stream[openvino]'" in lines[0]
    assert not (tmp_path / "step.xml").exists()
