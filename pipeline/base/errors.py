"""Errors shown to users: each is one readable line that explains what to do."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """An error that the user can fix; the message is one readable line that explains what to do."""


class ConfigError(UserError, ValueError):
    """An error in a configuration file or on the command line, in one readable line."""


class WireError(ValueError):
    """An invalid message from a peer; it is counted and discarded.

    Attributes:
        reason: Name of the counter: ``parts``, ``size``, ``version``, ``header``, ``topic``,
            ``pixels``, ``jpeg``, ``attention``, ``motion_maps``, ``shm``, ``overwritten``, ``memory``,
            ``names``, ``sessions`` or ``generation``; ``link``, ``key`` or ``flood`` for errors of a
            connection.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class TransportError(UserError, ValueError):
    """An address that can't be used; the message explains what to do."""


class SecurityError(UserError, ValueError):
    """A missing, unreadable or unsafe key, or an address that needs one; the message explains what to do."""


class OutputError(UserError):
    """An output can't be opened or has failed; the pipeline continues without it."""


@contextmanager
def as_user_error() -> Iterator[None]:
    """Converts a library's errors about arguments and files into one readable line.

    Raises:
        UserError: In place of a ``ValueError``, ``FloatingPointError`` or ``OSError``.
    """
    try:
        yield
    except (ValueError, FloatingPointError, OSError) as error:
        raise UserError(str(error)) from error
