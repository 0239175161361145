"""The secret of an outlet, read from the environment or a file and never shown."""

import os
from pathlib import Path

from pipeline.base.outlet import Outlet
from pipeline.events.sender import OutletError


def read_secret(outlet: Outlet) -> str:
    """The content of ``secret_env`` or ``secret_file``, stripped; empty if neither is set.

    Raises:
        OutletError: The variable or file is missing or empty.
    """
    if outlet.secret_env:
        secret = os.environ.get(outlet.secret_env, "")
        if not secret:
            raise OutletError(f"secret_env: the environment variable {outlet.secret_env} is not set")
        return secret
    if not outlet.secret_file:
        return ""
    path = Path(outlet.secret_file).expanduser()
    try:
        secret = path.read_text("utf-8").strip()
    except OSError as error:
        raise OutletError(f"secret_file: {path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OutletError(f"secret_file: {path}: is not text") from None
    if not secret:
        raise OutletError(f"secret_file: {path}: is empty")
    return secret
