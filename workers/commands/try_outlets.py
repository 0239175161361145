"""The command ``outlets test``, which sends a test event to each configured outlet."""

import typer

from workers.commands.shared_options import ConfigFile, Overrides, example

app = typer.Typer(
    no_args_is_help=True,
    help="Test the outlets: webhooks, MQTT brokers and push services that receive events.",
)


@app.callback()
def _outlets() -> None:
    """Keeps ``test`` a subcommand: without a callback, typer would drop the name of the only command."""


@app.command("test", epilog=example("outlets test --config site.toml"))
def try_outlets(config: ConfigFile = None, overrides: Overrides = None) -> None:
    """Send one test event to each configured outlet; exit with code 3 if one of them fails."""
    import msgspec

    from pipeline.base.clock import now_ns
    from pipeline.base.config import load_config
    from pipeline.base.errors import UserError
    from pipeline.base.event import Event, event_id, rfc3339
    from pipeline.events.open_sender import open_sender
    from pipeline.events.sender import Message, Refused, Undelivered
    from workers import exit_codes

    loaded = load_config(config, overrides or ())
    if not loaded.outlets:
        raise UserError("no outlet is configured: give --config a file with [outlets.NAME]")
    now = now_ns()
    event = Event(
        id=event_id("test", now), time=rfc3339(now), stream_id="test", kind="entered", phase="once",
        zone="test", why={"test": True},
    )  # fmt: skip
    body, code = msgspec.json.encode(event), exit_codes.OK
    for name, outlet in loaded.outlets.items():
        if outlet.kind == "mqtt":  # leaves the retained states of a running pipeline alone
            outlet = msgspec.structs.replace(outlet, topic=f"{outlet.topic}/test")
        sender = open_sender(name, outlet, loaded.watched())
        try:
            sender.send(Message(1, name, f"{event.id}-{event.phase}", body, now))
            print(f"{name} ({sender.where}): accepted the test event")
        except (Undelivered, Refused) as error:
            print(f"{name} ({sender.where}): {error}")
            code = exit_codes.OUTPUT_LOST
        finally:
            sender.close()
    raise typer.Exit(code)
