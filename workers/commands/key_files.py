"""``keys``: makes and admits the CURVE keys of links between machines."""

from pathlib import Path
from typing import Annotated

import typer

from workers.commands.shared_options import example

app = typer.Typer(no_args_is_help=True, help="Keys for links between machines (CURVE).")


@app.command(epilog=example("keys new capture"))
def new(
    name: Annotated[str, typer.Argument(help="Name of the worker or machine, for example capture.")],
    folder: Annotated[Path, typer.Option("--dir", help="Where the two files go.")] = Path("keys"),
) -> None:
    """Make a key pair: NAME.key to hand out, NAME.key_secret to keep."""
    from pipeline.wire.keys import new_keys

    public, secret = new_keys(folder, name)
    print(f"public key, give it to the peers:   {public}")
    print(f"secret key, keep it on this machine: {secret}")


@app.command(epilog=example("keys allow capture.key"))
def allow(
    file: Annotated[Path, typer.Argument(help="Public key (NAME.key) of a peer that may connect.")],
    folder: Annotated[Path, typer.Option("--dir", help="The folder named by security.allowed.")] = Path(
        "keys/allowed"
    ),
) -> None:
    """Let a peer connect: copy its public key into the folder of allowed keys."""
    from pipeline.wire.keys import allow

    print(f"allowed: {allow(folder, file)}")
