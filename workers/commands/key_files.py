"""The commands of ``keys``: create and authorise CURVE keys for links between machines."""

from pathlib import Path
from typing import Annotated

import typer

from workers.commands.shared_options import example

app = typer.Typer(no_args_is_help=True, help="Create and authorise keys for links between machines (CURVE).")


@app.command(epilog=example("keys new capture"))
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the worker or machine, such as capture.")
    ],
    folder: Annotated[Path, typer.Option("--dir", metavar="FOLDER", help="Folder for the two files.")] = Path(
        "keys"
    ),
) -> None:
    """Create a key pair: NAME.key to give to the peers, NAME.key_secret to keep on this machine."""
    from pipeline.wire.keys import new_keys

    public, secret = new_keys(folder, name)
    print(f"public key, give it to the peers:   {public}")
    print(f"secret key, keep it on this machine: {secret}")


@app.command(epilog=example("keys allow capture.key"))
def allow(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Public key (NAME.key) of a peer that may connect.")
    ],
    folder: Annotated[
        Path, typer.Option("--dir", metavar="FOLDER", help="The folder that security.allowed names.")
    ] = Path("keys/allowed"),
) -> None:
    """Allow a peer to connect: copy its public key into the folder of allowed keys."""
    from pipeline.wire.keys import allow

    print(f"allowed: {allow(folder, file)}")
