"""What the outputs raise: one readable line that says what to do."""

from pipeline.base.errors import UserError
from pipeline.base.redact import redact


class ViewError(UserError):
    """An output can't be opened or has failed; the pipeline itself goes on without it."""


def reason(error: BaseException) -> str:
    """Why the system refused, in a few words without paths or passwords."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(str(text)).splitlines()[0].lower()
