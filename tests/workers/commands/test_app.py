"""Every command explains itself."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from pipeline import __version__
from pipeline.base.program import PROGRAM
from workers import exit_codes
from workers.commands.app import app


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, found in getattr(command, "commands", {}).items():
        yield from commands(found, f"{name} {child}".strip())


COMMANDS = dict(commands(typer.main.get_command(app)))


def invoke(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        app(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_short_and_long_help_are_the_same_and_hold_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    short, long = (invoke([*name.split(), option], capsys) for option in ("-h", "--help"))
    assert short == long
    assert f"Example:\n    {PROGRAM} " in short


def test_the_help_of_the_program_lists_commands_in_groups_and_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = invoke(["--help"], capsys)
    headings = re.findall(r"^([A-Z].*):$", shown, re.MULTILINE)
    assert headings[-4:] == ["Run and watch", "Models", "Events", "Measure"]
    found = re.findall(r"^    (\d+)  +\S", shown.partition("Exit codes:")[2], re.MULTILINE)
    assert [int(code) for code in found] == list(exit_codes.MEANINGS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_value_it_takes_and_what_it_does(name: str) -> None:
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        assert getattr(parameter, "is_flag", False) or parameter.metavar, parameter.name


@pytest.mark.parametrize("name", [name for name in COMMANDS if " " not in name])
def test_commands_are_listed_with_a_whole_sentence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if children := getattr(COMMANDS[name], "commands", {}):
        shown = " ".join(invoke([*name.split(), "--help"], capsys).split())
        for child, command in children.items():
            assert f"{child} {' '.join(command.get_short_help_str(1_000).split())}" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_is_a_command_line_that_the_command_understands(name: str) -> None:
    example = re.search(rf"{re.escape(PROGRAM)} (.*)", COMMANDS[name].epilog or "")
    assert example is not None
    arguments = example[1].split()
    assert arguments[: len(name.split())] == name.split()
    leaf = max((name for name in COMMANDS if arguments[: len(name.split())] == name.split()), key=len)
    COMMANDS[leaf].make_context(leaf, arguments[len(leaf.split()) :])  # raises for what it does not know


def test_headless_explains_what_it_does_to_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    run, sink, monitor = (
        " ".join(re.search(r"--headless(.*?)\n\n", invoke([*name, "-h"], capsys), re.DOTALL)[1].split())
        for name in ([], ["sink"], ["monitor"])
    )
    assert "window" in run
    assert "live table" in run
    assert "window" in sink
    assert "table" not in sink, "a sink alone shows none"
    assert "table" in monitor
    assert "window" not in monitor, "a monitor has none"


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--version"], capsys) == f"kvq-stream {__version__}\n"
