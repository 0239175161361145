"""What can go wrong between two processes, in one readable line."""

from pipeline.base.errors import UserError


class WireError(ValueError):
    """A message that is not what it claims to be; it is counted and never used.

    Attributes:
        reason: One word to count it by: ``parts``, ``size``, ``version``, ``header``, ``topic``,
            ``pixels``, ``jpeg``, ``attention``, ``shm``, ``overwritten``, ``names`` or ``sessions``;
            ``link`` or ``key`` where no message came at all.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class TransportError(UserError, ValueError):
    """An address that can't be used, with what to do about it."""


class SecurityError(UserError, ValueError):
    """A key that is missing, unreadable or unsafe, or an address that needs one; with what to do."""
