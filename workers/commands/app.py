"""All commands of ``run_stream.py`` in one table."""

import typer

from workers.commands import bench, fleet_commands, pipeline, training, try_outlets
from workers.commands import kept_events as events
from workers.commands import key_files as keys
from workers.commands.shared_options import example

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback(
    invoke_without_command=True, epilog=example("--source rtsp://user:pass@camera/live --report report.json")
)(pipeline.run)

_COMMANDS = (
    (pipeline.capture, "--source 0 --config configs/two_machines/capture.toml"),
    (pipeline.inference, "--config configs/two_machines/inference.toml"),
    (pipeline.sink, "--config configs/two_machines/sink.toml --predictions predictions.jsonl"),
    (pipeline.monitor, "--config configs/two_machines/monitor.toml"),
    (training.train, "--data clips --out runs/mine"),
    (training.evaluate, "--checkpoint motion_resnet18 --video clip.mp4 --report evaluation.json"),
    (training.export, "--out step.onnx"),
)
for _command, _arguments in _COMMANDS:
    _name = _command.__name__
    app.command(_name, epilog=example(f"{_name} {_arguments}"))(_command)

app.add_typer(bench.app, name="bench", epilog=example("bench step --depth 18 --backend all"))
app.add_typer(events.app, name="events", epilog=example("events --rules zones.toml --since 24h"))
app.add_typer(fleet_commands.app, name="fleet", epilog=example("fleet up --config fleet.toml"))
app.add_typer(keys.app, name="keys", epilog=example("keys new capture"))
app.add_typer(try_outlets.app, name="outlets", epilog=example("outlets test --config site.toml"))
