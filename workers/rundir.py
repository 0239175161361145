"""The private folder of a run that holds the sockets of its workers."""

import os
import stat
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from pipeline.base.config import Config
from pipeline.base.errors import ConfigError
from pipeline.base.files import write_whole
from pipeline.base.scratch import living_folders, scratch_folder

_PLACEHOLDER = "{run}"
_RUN = "run-"
_SHARED = "shared"
_NOTED = "endpoints.json"


def base_folder() -> Path:
    """The private parent folder of this user's runs.

    Raises:
        ConfigError: The folder belongs to another user or is open to others.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = (
        Path(runtime) / "kvq-stream" if runtime else Path(tempfile.gettempdir()) / f"kvq-stream-{os.getuid()}"
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.stat()
    if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
        raise ConfigError(
            f"{folder} is open to other users: remove it, or set XDG_RUNTIME_DIR to a private folder"
        )
    return folder


def run_folder() -> AbstractContextManager[Path]:
    """A folder that exists as long as the run; also removes the folders of killed runs.

    Raises:
        ConfigError: The folder can't be kept private.
    """
    return scratch_folder(_RUN, base_folder())


def shared_folder() -> Path:
    """The folder for workers that are started individually without configured endpoints."""
    folder = base_folder() / _SHARED
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def newest_live_folder() -> Path:
    """The folder of the newest live run; the shared folder if there is none."""
    return max(living_folders(_RUN, base_folder()), key=_made_at, default=None) or shared_folder()


def place_endpoints(config: Config, folder: Path) -> Config:
    """The configuration with ``{run}`` in its endpoints replaced by ``folder``."""
    endpoints = {
        name: [text.replace(_PLACEHOLDER, str(folder)) for text in texts]
        for name, texts in msgspec.structs.asdict(config.endpoints).items()
    }
    return msgspec.structs.replace(config, endpoints=msgspec.structs.replace(config.endpoints, **endpoints))


def folder_of_run(endpoint: str) -> Path | None:
    """The private run folder that contains an endpoint; None for other endpoints."""
    folder = Path(endpoint.removeprefix("ipc://")).parent
    is_private = folder.is_relative_to(base_folder()) and any(part.startswith(_RUN) for part in folder.parts)
    return folder if endpoint.startswith("ipc://") and is_private else None


def note_endpoints(config: Config, folder: Path) -> None:
    """Writes the run's endpoints to its folder, as a monitor does not know the number of workers."""
    write_whole(folder / _NOTED, msgspec.json.encode(config.endpoints))


def find_endpoints(config: Config, folder: Path) -> Config:
    """Like ``place_endpoints``, but replaces endpoints with ``{run}`` by those noted by the run."""
    try:
        noted = msgspec.json.decode((folder / _NOTED).read_bytes(), type=dict[str, list[str]])
    except (FileNotFoundError, msgspec.DecodeError):
        noted = {}
    endpoints = {
        name: noted.get(name, texts) if any(_PLACEHOLDER in text for text in texts) else texts
        for name, texts in msgspec.structs.asdict(config.endpoints).items()
    }
    found = msgspec.structs.replace(config.endpoints, **endpoints)
    return place_endpoints(msgspec.structs.replace(config, endpoints=found), folder)


def _made_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # just ended
        return 0.0
