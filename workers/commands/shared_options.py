"""Options that several commands share, and the example under each help."""

import math
from pathlib import Path
from typing import Annotated

import typer


def example(arguments: str) -> str:
    """The last lines of a command's help: one command line that works as it stands."""
    return f"\b\nExample:\n  python run_stream.py {arguments}"


def _not_negative(option: typer.CallbackParam, value: float | None) -> float | None:
    """Refuses what is no finite number from 0, in one line that names the option as it was typed."""
    from pipeline.base.errors import UserError

    if value is not None and not 0 <= value < math.inf:
        raise UserError(f"{option.opts[0]} {value}: must be at least 0, and finite")
    return value


def _frame_count(text: str) -> int:
    """Reads ``--frames``; what is no whole number, such as ``inf``, is refused in one line."""
    from pipeline.base.errors import UserError

    try:
        return int(text)
    except ValueError:
        raise UserError(f"--frames {text[:40]}: must be a whole number of at least 0") from None


ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file; keys as in configs/default.toml.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One configuration key; repeatable.")
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Allow endpoints beyond this machine without keys.")
]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help="0 (webcam), rtsp://..., a video file, a folder of images, demo; repeatable.",
    ),
]
ReportFile = Annotated[Path | None, typer.Option("--report", help="Write the report of the run as JSON.")]
Predictions = Annotated[
    str | None,
    typer.Option(
        "--predictions",
        metavar="FILE",
        help="Write predictions as JSON lines, one object each; - is standard output.",
    ),
]
Zone = Annotated[
    list[str] | None,
    typer.Option(
        "--zone",
        metavar="NAME=X,Y,X,Y,X,Y...",
        help="Report motion in a part of the image; corners as fractions of it; repeatable.",
    ),
]
Line = Annotated[
    list[str] | None,
    typer.Option(
        "--line",
        metavar="NAME=X,Y,X,Y",
        help="Report what crosses a line, and in which direction; repeatable.",
    ),
]
Events = Annotated[
    str | None,
    typer.Option(
        "--events", metavar="FILE", help="Write events as JSON lines, one object each; - is standard output."
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(
        "--frames",
        parser=_frame_count,
        metavar="N",
        callback=_not_negative,
        help="Stop each stream after this many frames; 0 = no limit.",
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", callback=_not_negative, help="Stop after this many seconds; 0 = no limit."),
]
MaxAge = Annotated[
    str | None,
    typer.Option(
        "--max-age",
        metavar="TIME",
        help="Keep predictions of live streams younger than this, as 150ms or 2s, by sending less.",
    ),
]
Pace = Annotated[bool, typer.Option("--pace", help="Play files at their own rate.")]
Window = Annotated[bool, typer.Option("--window", help="Show the overlay on the desktop.")]
NoWeb = Annotated[bool, typer.Option("--no-web", help="Serve no web page.")]
Headless = Annotated[bool, typer.Option("--headless", help="No window, and lines instead of a live table.")]
NoWindow = Annotated[bool, typer.Option("--headless", help="No window, whatever the configuration says.")]
PlainLines = Annotated[bool, typer.Option("--headless", help="Lines instead of a live table.")]

Checkpoint = Annotated[
    str, typer.Option("--checkpoint", help="Name of a shipped checkpoint, or a .safetensors file.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 ...")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the results as JSON.")]
