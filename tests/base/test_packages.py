import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline.base.packages import EXTRAS, MissingPackageError, load_package
from tests.support import need_module

ROOT = Path(__file__).parents[2]


def test_a_missing_package_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for package, extra in (("openvino", "openvino"), ("onnxscript", "onnx"), ("nncf", "int8")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingPackageError) as caught:
            load_package(package)
        message = str(caught.value)
        assert message.startswith(f"{package} can't be imported")
        assert f"pip install 'kvq-stream[{extra}]'" in message
        assert "\n" not in message


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_installs_what_its_row_lists(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"][extra]
    named = {"paho": "paho-mqtt"}  # the module of a package that is called otherwise
    assert {re.split("[<>=]", one)[0] for one in wanted} >= {named.get(name, name) for name in EXTRAS[extra]}


def test_openvino_loads_without_its_telemetry() -> None:
    need_module("openvino", "openvino")
    code = (
        "import sys\n"
        "from pipeline.base.packages import load_package\n"
        "load_package('openvino').Core()\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def outlet(kind: str, url: str) -> tuple[str, str]:
    return "--set", f"outlets.a={{kind='{kind}', url='{url}'}}"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["inference", "--set", "runtime.backend=openvino"], "openvino is not installed: pip install "),
        (["export", "--out", "step.xml"], "openvino is not installed: pip install "),
        (["sink", *outlet("mqtt", "mqtt://x")], "outlets.a: paho is not installed: pip install "),
        (["sink", *outlet("push", "json://x")], "outlets.a: apprise is not installed: pip install "),
    ],
    ids=["inference", "export", "mqtt", "push"],
)
def test_commands_name_what_to_install(tmp_path: Path, command: list[str], message: str) -> None:
    missing = "import sys\nfor name in ('openvino', 'paho', 'apprise'):\n    sys.modules[name] = None\n"
    (tmp_path / "sitecustomize.py").write_text(missing)
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
    assert lines[0].startswith(f"error: {message}")
    assert "pip install 'kvq-stream[" in lines[0]
    assert not (tmp_path / "step.xml").exists()
