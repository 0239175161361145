"""Options that several commands share, and the text below each command's help."""

import math
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from pipeline.base.program import PROGRAM
from workers import exit_codes

HELP_WIDTH = 100
"""Maximum width of the help, in columns."""
CONFIGURATION, INPUT, WATCH, OUTPUT, DISPLAY = (
    "Configuration",
    "Input",
    "Zones and lines",
    "Output",
    "Display",
)
"""Titles of groups of options in the help."""


def example(arguments: str) -> str:
    """The last lines of a command's help: an example to copy."""
    return f"\b\nExample:\n  {PROGRAM} {arguments}"


def exit_codes_text() -> str:
    """The table of exit codes, wrapped for a terminal of 80 columns."""
    lines = ["\b", "Exit codes:"]
    for code, meaning in exit_codes.MEANINGS.items():
        lines += textwrap.wrap(meaning, 76, initial_indent=f"  {code:<5}", subsequent_indent=" " * 7)
    return "\n".join(lines)


def _not_negative(option: typer.CallbackParam, value: float | None) -> float | None:
    """Refuses a number that is negative or not finite; the error names the option as typed."""
    from pipeline.base.errors import UserError

    if value is not None and not 0 <= value < math.inf:
        raise UserError(f"{option.opts[0]} {value}: must be a finite number of at least 0")
    return value


def _frame_count(text: str) -> int:
    """Parses ``--frames``; refuses anything but a whole number, for example ``inf``."""
    from pipeline.base.errors import UserError

    try:
        return int(text)
    except ValueError:
        raise UserError(f"--frames {text[:40]}: must be a whole number of at least 0") from None


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file with keys that override configs/default.toml.",
        rich_help_panel=CONFIGURATION,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set one configuration key, such as capture.encoding=jpeg; repeatable.",
        rich_help_panel=CONFIGURATION,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Allow links to other machines without keys.",
        rich_help_panel=CONFIGURATION,
    ),
]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help="0 (webcam), rtsp://..., a video file, a folder of images, or demo; repeatable.",
        rich_help_panel=INPUT,
    ),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write a report of the run as JSON.",
        rich_help_panel=OUTPUT,
    ),
]
Predictions = Annotated[
    str | None,
    typer.Option(
        "--predictions",
        metavar="FILE",
        help="Write predictions as JSON lines, one object each, replacing an existing file; - is standard "
        "output.",
        rich_help_panel=OUTPUT,
    ),
]
Zone = Annotated[
    list[str] | None,
    typer.Option(
        "--zone",
        metavar="NAME=X,Y,X,Y,X,Y...",
        help="Report an event when something moves inside this polygon; coordinates from 0 to 1, "
        "x from the left, y from the top; repeatable.",
        rich_help_panel=WATCH,
    ),
]
Line = Annotated[
    list[str] | None,
    typer.Option(
        "--line",
        metavar="NAME=X,Y,X,Y",
        help="Report an event when something crosses this line, with the direction; repeatable.",
        rich_help_panel=WATCH,
    ),
]
Events = Annotated[
    str | None,
    typer.Option(
        "--events",
        metavar="FILE",
        help="Append events to this file as JSON lines, one object each; - is standard output.",
        rich_help_panel=OUTPUT,
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(
        "--frames",
        parser=_frame_count,
        metavar="N",
        callback=_not_negative,
        help="Stop each stream after N frames; 0 = no limit.",
        rich_help_panel=INPUT,
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--seconds",
        metavar="S",
        callback=_not_negative,
        help="Stop after S seconds; 0 = no limit.",
        rich_help_panel=INPUT,
    ),
]
MaxAge = Annotated[
    str | None,
    typer.Option(
        "--max-age",
        metavar="TIME",
        help="Cap the age of predictions of live streams (150ms, 2s); capture then sends smaller, more "
        "compressed or fewer frames.",
        rich_help_panel=INPUT,
    ),
]
Pace = Annotated[
    bool,
    typer.Option(
        "--pace",
        help="Play files at their own frame rate instead of as fast as possible.",
        rich_help_panel=INPUT,
    ),
]
Window = Annotated[
    bool,
    typer.Option("--window", help="Show the overlay in a desktop window.", rich_help_panel=DISPLAY),
]
NoWeb = Annotated[bool, typer.Option("--no-web", help="Do not serve the web page.", rich_help_panel=DISPLAY)]
Headless = Annotated[
    bool,
    typer.Option(
        "--headless",
        help="Open no window, and print lines instead of a live table.",
        rich_help_panel=DISPLAY,
    ),
]
NoWindow = Annotated[
    bool,
    typer.Option(
        "--headless",
        help="Open no window, even if the configuration enables it.",
        rich_help_panel=DISPLAY,
    ),
]
PlainLines = Annotated[
    bool,
    typer.Option("--headless", help="Print lines instead of a live table.", rich_help_panel=DISPLAY),
]

Checkpoint = Annotated[
    str,
    typer.Option(
        "--checkpoint", metavar="NAME", help="Name of a shipped checkpoint, or a .safetensors file."
    ),
]
Device = Annotated[
    str,
    typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda, or cuda:N for one of several GPUs."),
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON.")]
