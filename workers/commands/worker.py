"""Runs a single worker with only the packages that its role needs."""

import time
from pathlib import Path

import msgspec

from pipeline.base.config import Config, StreamConfig
from pipeline.base.role_names import Role
from pipeline.video.naming import default_stream_id
from workers.commands.stdout import reserved_stdout
from workers.process import run_alone
from workers.rundir import place_endpoints, shared_folder


def run_worker(role: Role, config: Config) -> int:
    """Runs one worker in this terminal; returns its exit code.

    Raises:
        UserError: The input is not valid.
    """
    if role == "capture" and not config.control.listen:
        config = with_demo(config)
    if role == "inference":
        from workers.model_check import check_model
        from workers.sharing import check_alone, check_sharing

        check_alone(config)
        check_sharing(config)
        check_model(config)
    outputs = (config.sink.predictions, config.sink.events) if role == "sink" else ()
    if role == "sink":
        from workers.page_check import check_page
        from workers.sending import check_outlets

        check_outlets(config)
        check_page(config)
        config = with_output_folder(config)
    with reserved_stdout(*outputs) as stdout:
        name = (role == "inference" and config.inference.name) or role
        return run_alone(role, place_endpoints(config, shared_folder()), name, stdout)


def with_demo(config: Config) -> Config:
    """Adds the demo if no stream is configured."""
    if config.streams:
        return config
    return msgspec.structs.replace(
        config, streams=[StreamConfig(id=default_stream_id("demo", ()), source="demo", pace=True)]
    )


def with_output_folder(config: Config) -> Config:
    """Gives each run its own output folder for videos; the store and evidence are shared by all runs."""
    store = msgspec.structs.replace(config.store, file=str(config.store_file() or ""))
    evidence = msgspec.structs.replace(config.evidence, folder=str(config.evidence_folder() or ""))
    config = msgspec.structs.replace(config, store=store, evidence=evidence)
    if not config.run.output_dir or not config.sink.record:
        return config
    folder = Path(config.run.output_dir) / time.strftime("%Y-%m-%d_%H-%M-%S")
    return msgspec.structs.replace(config, run=msgspec.structs.replace(config.run, output_dir=str(folder)))
