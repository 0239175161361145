"""All commands of the command line, in one table."""

import typer

from workers.commands import bench, fleet_commands, pipeline, training, try_outlets
from workers.commands import kept_events as events
from workers.commands import key_files as keys
from workers.commands.grouped_help import GroupedCommand, GroupedGroup
from workers.commands.shared_options import HELP_WIDTH, example, exit_codes_text

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH},
)
app.callback(
    cls=GroupedGroup,
    invoke_without_command=True,
    epilog=f"{example('--source rtsp://user:pass@camera/live --report report.json')}\n\n{exit_codes_text()}",
)(pipeline.run)

RUN, MODELS, EVENTS, MEASURE = "Run and watch", "Models", "Events", "Measure"
_COMMANDS = (
    (RUN, pipeline.capture, "--source 0 --config configs/two_machines/capture.toml"),
    (RUN, pipeline.inference, "--config configs/two_machines/inference.toml"),
    (RUN, pipeline.sink, "--config configs/two_machines/sink.toml --predictions predictions.jsonl"),
    (RUN, pipeline.monitor, "--config configs/two_machines/monitor.toml"),
    (MODELS, training.train, "--data clips --out runs/mine"),
    (MODELS, training.evaluate, "--checkpoint motion_resnet18 --video clip.mp4 --report evaluation.json"),
    (MODELS, training.export, "--out step.onnx"),
)
for _group, _command, _arguments in _COMMANDS:
    _name = _command.__name__
    _epilog = example(f"{_name} {_arguments}")
    app.command(_name, cls=GroupedCommand, epilog=_epilog, rich_help_panel=_group)(_command)

_WITH_SUBCOMMANDS = (
    (RUN, "fleet", fleet_commands.app, "fleet up --config fleet.toml"),
    (RUN, "keys", keys.app, "keys new capture"),
    (EVENTS, "events", events.app, "events --rules zones.toml --since 24h"),
    (EVENTS, "outlets", try_outlets.app, "outlets test --config site.toml"),
    (MEASURE, "bench", bench.app, "bench step --depth 18 --backend all"),
)
for _group, _name, _app, _line in _WITH_SUBCOMMANDS:
    for _subcommand in _app.registered_commands:
        _subcommand.cls = GroupedCommand
    app.add_typer(_app, name=_name, cls=GroupedGroup, epilog=example(_line), rich_help_panel=_group)
