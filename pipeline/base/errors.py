"""Errors that users see: one readable line each, with what to do."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something that the user has to change; the message is one readable line with what."""


class ConfigError(UserError, ValueError):
    """An error in a configuration file or on the command line, in one readable line."""


class WireError(ValueError):
    """A message that is not what it claims to be; it is counted and never used.

    Attributes:
        reason: One word to count it by: ``parts``, ``size``, ``version``, ``header``, ``topic``,
            ``pixels``, ``jpeg``, ``attention``, ``shm``, ``overwritten``, ``memory``, ``names``,
            ``sessions`` or ``generation``;
            ``link``, ``key`` or ``flood`` where it is about a connection.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class TransportError(UserError, ValueError):
    """An address that can't be used, with what to do about it."""


class SecurityError(UserError, ValueError):
    """A key that is missing, unreadable or unsafe, or an address that needs one; with what to do."""


class OutputError(UserError):
    """An output can't be opened or has failed; the pipeline itself goes on without it."""


@contextmanager
def as_user_error() -> Iterator[None]:
    """Turns what a library raises for wrong arguments and files into one readable line.

    Raises:
        UserError: In place of a ``ValueError``, ``FloatingPointError`` or ``OSError``.
    """
    try:
        yield
    except (ValueError, FloatingPointError, OSError) as error:
        raise UserError(str(error)) from error
