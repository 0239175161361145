"""Checks before a run starts that no other pipeline stores its events in the same place."""

from pathlib import Path

import psutil

from pipeline.base.config import Config
from pipeline.base.errors import ConfigError
from pipeline.base.held_lock import HeldError, check_free
from pipeline.events.evidence_shelf import lock_of_shelf
from pipeline.events.store import lock_of_store


def check_folders(config: Config) -> None:
    """Checks that no other process writes to the event store or the evidence folder.

    Raises:
        ConfigError: Another one does; the message has its process id, if known, and the key to change.
    """
    file, folder = config.store_file(), config.evidence_folder()
    for key, place, lock in (
        ("store.file", file, file and lock_of_store(file)),
        ("evidence.folder", folder, folder and lock_of_shelf(folder)),
    ):
        if lock is None:
            continue
        try:
            check_free(lock)
        except HeldError as held:
            section, _, name = key.partition(".")
            if getattr(getattr(config, section), name) == "auto":
                key, place = "run.output_dir", Path(config.run.output_dir)
            raise ConfigError(
                f"{place}: another pipeline is already running here{_run_of(held).by}: stop it, or give this "
                f"run its own place, --set {key}=PATH"
            ) from None


def _run_of(held: HeldError) -> HeldError:
    """Replaces the sink that holds a lock by its supervisor, if it has one: that is the process to stop."""
    try:
        parent = psutil.Process(held.pid).parent() if held.pid else None
        return HeldError(parent.pid) if parent and parent.name().startswith("kvq-") else held
    except psutil.Error:
        return held
