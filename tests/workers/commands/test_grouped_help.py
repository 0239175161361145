"""Groups of options and commands in the help."""

from typing import Annotated

import pytest
import typer

from workers.commands.grouped_help import GroupedCommand, GroupedGroup


def program() -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None, add_completion=False)

    @app.callback(cls=GroupedGroup, invoke_without_command=True)
    def top(plain: Annotated[bool, typer.Option("--plain", help="No group.")] = False) -> None: ...

    @app.command("copy", cls=GroupedCommand, rich_help_panel="Files")
    def copy(
        file: Annotated[str, typer.Argument(metavar="FILE", help="What.")],
        plain: Annotated[bool, typer.Option("--plain", help="No group.")] = False,
        fast: Annotated[bool, typer.Option("--fast", help="At once.", rich_help_panel="Speed")] = False,
        to: Annotated[str, typer.Option("--to", metavar="FOLDER", rich_help_panel="Place")] = ".",
        slow: Annotated[bool, typer.Option("--slow", help="Later.", rich_help_panel="Speed")] = False,
    ) -> None:
        """Copy a file, with a sentence that is far too long for one line of a terminal with 80 columns."""

    @app.command("other", cls=GroupedCommand)
    def other() -> None:
        """Do something else."""

    return app


def shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        program()(arguments)
    return capsys.readouterr().out


def test_options_stand_in_groups_in_their_order_and_the_rest_comes_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [line.split()[0] for line in shown(["copy", "--help"], capsys).splitlines() if line.strip()]
    start = lines.index("Arguments:")
    assert lines[start:] == [
        "Arguments:", "FILE", "Speed:", "--fast", "--slow", "Place:", "--to", "Options:", "--plain", "--help",
    ]  # fmt: skip


def test_commands_stand_in_groups_with_their_whole_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(shown(["--help"], capsys).split())
    assert "Files: copy Copy a file, with a sentence that is far too long for one line of a terminal" in text
    assert "80 columns. Commands: other Do something else." in text
