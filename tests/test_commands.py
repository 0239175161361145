"""Commands of ``run_stream.py`` that must fail: one readable line, exit code 2, no traceback, no password."""

import contextlib
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.wire.keys import new_keys
from tests.video.clips import write_sound
from tests.workers.program import PROGRAM, STARTED_AS, Outcome, Program

PASSWORD = "hunter2"
ABSENT_IN_CAPTURE = ("PIL", "apprise", "onnx", "openvino", "paho", "ray", "safetensors", "shapely", "torch")
RUN = ["--headless", "--no-web"]
QUICK_ERRORS = {
    "no file": (["capture", "--source", "no.mp4"], "no.mp4: no such file or folder; check the path"),
    "not a video": (["capture", "--source", "text.mp4"], "text.mp4: not a video, or too damaged"),
    "empty file": (["capture", "--source", "empty.mp4"], "the file is empty; was it copied completely?"),
    "only sound": (["capture", "--source", "sound.wav"], "has no video track; choose another file"),
    "empty folder": (["capture", "--source", "folder"], "the folder contains no images (.bmp"),
    "scheme": (["capture", "--source", f"gopher://me:{PASSWORD}@x/y"], "gopher:// is not supported; use one"),
    "no host": (["capture", "--source", "rtsp:///live"], "the URL has no host; write it as rtsp://host"),
    "half a URL": (["capture", "--source", f"rtsp:/me:{PASSWORD}@x/y"], "no such file or folder"),
    "no camera": (["capture", "--source", "97"], "camera 97: no such camera; plug one in"),
    "unknown key": ([*RUN, "--set", "capture.colour=7"], "unknown key 'capture.colour'; all keys are in"),
    "unknown section": ([*RUN, "--set", "colour=7"], "unknown key 'colour'; all keys are in configs"),
    "wrong type": ([*RUN, "--set", "capture.encoding=7"], "capture.encoding: expected `str`, got `int`"),
    "no value": ([*RUN, "--set", "capture"], "expected section.key=value, as in capture.encoding=jpeg"),
    "too small": (
        [*RUN, "--set", "run.frames=-1"],
        "run.frames: must be a whole number from 0 to 1000000000;",
    ),
    "frames below 0": ([*RUN, "--frames", "-3"], "error: --frames -3: must be a finite number of at least 0"),
    "frames of one worker": (
        ["capture", "--frames", "-3"],
        "error: --frames -3: must be a finite number of at least 0",
    ),
    "frames without end": ([*RUN, "--frames", "inf"], "error: --frames inf: must be a whole number of at"),
    "time below 0": (
        [*RUN, "--seconds", "-0.5"],
        "error: --seconds -0.5: must be a finite number of at least 0",
    ),
    "time of the monitor": (
        ["monitor", "--seconds", "nan"],
        "error: --seconds nan: must be a finite number of at least 0",
    ),
    "time without end": (
        [*RUN, "--seconds", "inf"],
        "--seconds inf: must be a finite number of at least 0",
    ),
    "no config": ([*RUN, "--config", "no.toml"], "no.toml: no such configuration file"),
    "not a config": ([*RUN, "--config", "text.mp4"], "text.mp4: not valid TOML"),
    "one id twice": (
        [*RUN, "--set", "streams=[{id='a', source='demo'}, {id='a', source='demo'}]"],
        "two streams are called 'a': give each its own id",
    ),
    "output folder": (
        ["sink", "--set", "run.output_dir=text.mp4"],
        "can't write videos there: Not a directory; choose another folder with run.output_dir",
    ),
    "report": (
        [*RUN, "--report", "text.mp4/r.json"],
        "text.mp4/r.json: can't write the report: its folder",
    ),
    "report is a folder": ([*RUN, "--report", "folder"], "can't write the report: Is a directory"),
    "predictions": (["sink", "--predictions", "text.mp4/p.jsonl"], "text.mp4/p.jsonl: can't be written"),
    "predictions is a folder": (["sink", "--predictions", "folder"], "folder: can't be written: is a direc"),
    "events": (["sink", "--events", "text.mp4/e.jsonl"], "text.mp4/e.jsonl: can't be written"),
    "two for standard output": (
        ["sink", "--events", "-", "--predictions", "-"],
        "predictions and events can't both go to standard output: give one of them a file",
    ),
    "outlet without a secret": (
        [
            *RUN,
            "--set",
            f"outlets.a={{kind='webhook', url='http://m:{PASSWORD}@x', secret_env='NONE'}}",
        ],
        "outlets.a: secret_env: the environment variable NONE is not set",
    ),
    "outlet without a host": (
        ["sink", "--set", f"outlets.a={{kind='mqtt', url='mqtt://me:{PASSWORD}@'}}"],
        "outlets.a: url: is not a URL: write it as scheme://host:port/path",
    ),
    "outlet of no known kind": (
        ["sink", "--set", f"outlets.a={{kind='fax', url='fax://{PASSWORD}'}}"],
        "outlets.a.kind: 'fax' is not allowed; expected one of: mqtt, push, webhook",
    ),
    "outlet of no known service": (
        [*RUN, "--set", f"outlets.a={{kind='push', url='fax://{PASSWORD}'}}"],
        "outlets.a: url: is not a URL that Apprise supports",
    ),
    "outbox": (
        ["sink", "--set", "outlets.a={kind='webhook', url='http://x'}", "--set", "sink.outbox=text.mp4/box"],
        "text.mp4/box: can't be written",
    ),
    "no outlet to test": (
        ["outlets", "test"],
        "no outlet is configured: give --config a file with [outlets.NAME]",
    ),
    "zone without corners": (
        [*RUN, "--zone", "yard=0.1,0.2"],
        "--zone yard=0.1,0.2: give a name and pairs of numbers from 0 to 1, such as door=0.1,0.4",
    ),
    "zone beyond the picture": (
        [*RUN, "--zone", "yard=0,0,1,0,1,7"],
        "zones.yard.points[2][1]: must be a num",
    ),
    "line with half a point": ([*RUN, "--line", "gate=0,0,1,0,1"], "as gate=0.2,0.5,0.8,0.5"),
    "no zones file": ([*RUN, "--set", "watch.file=no.toml"], "no.toml: no such configuration file"),
    "not a checkpoint": (["inference", "--set", "inference.checkpoint=text.mp4"], "not a safetensors file"),
    "empty checkpoint": (["inference", "--set", "inference.checkpoint=empty.mp4"], "not a safetensors file"),
    "no checkpoint": ([*RUN, "--set", "inference.checkpoint=absent"], "no checkpoint 'absent'; available: m"),
    "no checkpoint file": (["inference", "--set", "inference.checkpoint=no.safetensors"], "no such file"),
    "no endpoint": (["capture", "--set", "endpoints.frames=['tcp://x']"], "write ipc://path or tcp://host:"),
    "long path": (
        ["capture", "--set", f"endpoints.frames=['ipc:///{'x' * 120}']"],
        "the system allows 107: use a shorter path",
    ),
    "no such folder": (
        ["capture", "--set", "endpoints.frames=['ipc:///nowhere/x']"],
        "there is no folder /nowhere: create it first",
    ),
    "open to all": (
        ["capture", "--source", "demo", "--set", "endpoints.frames=['tcp://0.0.0.0:0']"],
        f"create a key with `{STARTED_AS} keys new NAME`, allow others with `{STARTED_AS} keys allow FILE`; "
        "or use --insecure to run without keys",
    ),
    "open statistics": (
        ["sink", "--set", "endpoints.sink_stats=['tcp://*:0']"],
        f"create a key with `{STARTED_AS} keys new NAME`",
    ),
    "web page open to all": (["sink", "--set", "sink.web_host=0.0.0.0"], "sink.web_host"),
    "no key file": (
        ["sink", "--set", "security.secret_key=no.key_secret"],
        f"no such file; create one with `{STARTED_AS}",
    ),
    "not a key": (["sink", "--set", "security.secret_key=text.mp4"], f"create one with `{STARTED_AS}"),
    "name of a key": (["keys", "new", "a/b"], "use 1 to 64 letters, digits, - and _"),
    "allow a secret key": (["keys", "allow", "mine.key_secret"], "allow the public one, mine.key"),
    "export without a format": (["export", "--out", "step.txt"], "step.txt: give --format onnx or openvino"),
    "suffix of an export": (
        ["export", "--out", "step.xml", "--format", "onnx"],
        "step.xml: a file of format onnx ends in .onnx",
    ),
    "int8 as ONNX": (["export", "--out", "step.onnx", "--int8"], "int8 requires --format openvino"),
    "export of nothing": (
        ["export", "--out", "step.xml", "--checkpoint", "absent"],
        "no checkpoint 'absent'",
    ),
    "int8 on torch": (
        [*RUN, "--set", "inference.precision=int8", "--set", "runtime.backend=torch"],
        "int8 needs OpenVINO on a CPU, not backend torch on device auto: set runtime.backend=openvino",
    ),
    "int8 on a GPU": (
        [*RUN, "--set", "inference.precision=int8", "--set", "inference.device=cuda"],
        "not backend auto on device cuda",
    ),
    "fp16 on OpenVINO": (
        ["inference", "--set", "inference.precision=fp16", "--set", "runtime.backend=openvino"],
        "supports fp32, bf16, int8, not fp16",
    ),
    "allow what is no key": (
        ["keys", "allow", "text.mp4"],
        "text.mp4 is not a key file: copy it from the machine where it was created",
    ),
    "allow a key that was not copied": (
        ["keys", "allow", "keys/sink.key"],
        "keys/sink.key can't be read: no such file; copy it from the machine where it was created",
    ),
}
ERRORS_OF_LINKS = {
    "listen elsewhere without a key": (
        ["inference", "--set", "endpoints.frames=['tcp://10.77.0.1:5601']"],
        "tcp://10.77.0.1:5601 is on another machine but security.secret_key is not set",
    ),
    "listen to somebody whose key was not copied": (
        [
            "inference",
            *("--set", "endpoints.frames=['tcp://127.0.0.1:5601']"),
            *("--set", "endpoints.predictions=['tcp://127.0.0.1:0']"),
            *("--set", "security.secret_key=mine.key_secret", "--set", "security.allowed=."),
            *("--set", "security.servers.capture=keys/capture.key"),
        ],
        "keys/capture.key can't be read: no such file; copy it from the machine where it was created",
    ),
}
ERRORS_OF_A_RUN = {
    "output folder": (
        [*RUN, "--set", "run.output_dir=text.mp4"],
        "choose another folder with run.output_dir",
    ),
    "no device": (["inference", "--set", "inference.device=cuda:99"], "choose auto or cpu"),
}


@pytest.mark.parametrize("error", QUICK_ERRORS)
def test_user_errors_are_one_readable_line(error: str, place: Path) -> None:
    arguments, wanted = QUICK_ERRORS[error]
    assert wanted in complaint(place, *arguments)


@pytest.mark.parametrize("error", ERRORS_OF_LINKS)
def test_keys_of_all_links_are_checked_before_a_worker_waits(error: str, place: Path) -> None:
    arguments, wanted = ERRORS_OF_LINKS[error]
    assert wanted in complaint(place, *arguments)


@pytest.mark.parametrize("error", ERRORS_OF_A_RUN)
def test_user_errors_that_a_worker_finds_are_one_readable_line(error: str, place: Path) -> None:
    arguments, wanted = ERRORS_OF_A_RUN[error]
    assert wanted in complaint(place, *arguments)


def test_a_camera_that_refuses_the_connection(place: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"rtsp://me:{PASSWORD}@127.0.0.1:{closed.getsockname()[1]}/live"
        assert "connection refused; is the camera on" in complaint(place, *RUN, "--source", url)


def test_ports_in_use(place: Path) -> None:
    with listener() as port:
        web = complaint(place, "--headless", "--set", f"sink.web_port={port}", name="web")
        wanted = (
            f"http://127.0.0.1:{port}: address already in use: is another KVQ Stream running? use a free port"
        )
        assert f"{wanted} with --set sink.web_port=0, or --no-web" in web
        frames = f"endpoints.frames=['tcp://127.0.0.1:{port}']"
        wanted = f"tcp://127.0.0.1:{port}: already used by another program: stop it or choose another port"
        assert wanted in complaint(place, "capture", "--source", "demo", "--set", frames, name="frames")


def test_a_folder_open_to_others_is_not_used(place: Path) -> None:
    (place / "runtime" / "kvq-stream").mkdir(parents=True)
    (place / "runtime" / "kvq-stream").chmod(0o777)
    assert "is open to other users: remove it, or set XDG_RUNTIME_DIR" in complaint(place, *RUN)


def test_help_names_every_command(place: Path) -> None:
    with Program(place, "--help") as program:
        outcome = program.finish(60.0)
    assert outcome.code == 0
    for word in (
        "capture",
        "inference",
        "sink",
        "monitor",
        "keys",
        "outlets",
        "--source",
        "--report",
        "--insecure",
    ):
        assert word in outcome.out


def test_options_about_showing_are_known_wherever_something_is_shown(place: Path) -> None:
    with Program(place, "sink", "--no-web", "--headless", "--set", "run.output_dir=") as sink:
        sink.wait_for("sink: ready")
        sink.signal(signal.SIGINT)
        outcome = sink.finish()
    assert outcome.code == 0, outcome.told()
    assert "web page" not in outcome.out
    for more, table in (((), True), (("--headless",), False)):
        with in_a_terminal(place, "monitor", "--seconds", "0.5", *more) as shown:
            assert ("╭" in shown) == table, shown
            assert "no worker answers yet at ipc://" in shown, shown


@contextlib.contextmanager
def in_a_terminal(place: Path, *arguments: str) -> Iterator[str]:
    """What a command shows to somebody at a terminal."""
    mine, its = pty.openpty()
    environment = os.environ | {
        "XDG_RUNTIME_DIR": str(place),
        "TERM": "xterm",
        "LINES": "24",
        "COLUMNS": "80",
    }
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments], stdin=its, stdout=its, stderr=its, env=environment
    )
    os.close(its)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal is an error
        while part := os.read(mine, 65536):
            shown += part
    os.close(mine)
    assert process.wait(60.0) == 2, "nobody was heard"
    yield shown.decode()


def complaint(place: Path, *arguments: str, name: str = "run") -> str:
    """Runs a command that must fail, in a folder of wrong files; returns its one line."""
    program = Program(place, *arguments, name=name)
    (program.folder / "folder").mkdir()
    (program.folder / "empty.mp4").touch()
    (program.folder / "text.mp4").write_text("This is no film.\n")
    write_sound(program.folder / "sound.wav")
    new_keys(program.folder, "mine")
    files = files_of(program.folder)
    with program:
        outcome = program.finish(60.0)
    check_form(outcome)
    made = {name.partition("/")[0] for name in files_of(program.folder) - files}
    assert made <= {"stdout.txt", "stderr.txt", "outputs"}
    assert [path.name for path in program.runtime.glob("kvq-stream/run-*")] == []
    return outcome.err


def check_form(outcome: Outcome) -> None:
    assert outcome.code == 2, outcome.told()
    assert outcome.err.startswith("error: "), outcome.told()
    assert outcome.err.count("\n") == 1, outcome.told()
    output = outcome.out + outcome.err
    assert "Traceback" not in output, outcome.told()
    assert PASSWORD not in output, outcome.told()


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@contextlib.contextmanager
def listener() -> Iterator[int]:
    """A port of this machine that another program uses."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("msgspec", []), ("PIL", ["--headless", "--no-web"]), ("PIL", ["inference"])],
    ids=["at the start", "run", "inference"],
)
def test_a_missing_package_is_one_line_and_no_traceback(package: str, arguments: list[str]) -> None:
    code = (
        "import sys, run_stream\n"
        f"sys.modules[{package!r}] = None\n"
        f"sys.argv = ['it', *{arguments}]\n"
        "run_stream.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=PROGRAM.parent
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: the package {package} is not installed: pip install -e .\n"


def in_a_capture_only_installation(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command without the modules that requirements-edge.txt does not install."""
    code = (
        "import sys, run_stream\n"
        f"sys.modules.update(dict.fromkeys({ABSENT_IN_CAPTURE}))\n"
        f"sys.argv = ['kvq-stream', *{arguments}]\n"
        "run_stream.main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROGRAM.parent,
        env=os.environ | {"XDG_RUNTIME_DIR": str(place)},
    )


@pytest.mark.parametrize("arguments", [[], ["inference"]], ids=["run", "inference"])
def test_a_capture_only_installation_says_so(place: Path, arguments: list[str]) -> None:
    done = in_a_capture_only_installation(place, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        r"error: this is a capture-only installation, without \w+; this command needs the full one: "
        r"pip install -e \.\n",
        done.stderr,
    )


def test_the_monitor_runs_in_a_capture_only_installation(place: Path) -> None:
    done = in_a_capture_only_installation(place, "monitor", "--seconds", "0.1")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no worker answers at ipc://"), done.stderr


@pytest.mark.parametrize("module", ["workers.commands.app", "workers.model_check"])
def test_a_missing_module_of_our_own_is_a_traceback(module: str) -> None:
    code = (
        f"import sys, run_stream; sys.modules[{module!r}] = None\n"
        "sys.argv = ['it', 'inference']; run_stream.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=PROGRAM.parent
    )
    assert done.returncode == 1
    assert f"ModuleNotFoundError: import of {module} halted" in done.stderr
