"""Keeps passwords out of everything that is printed, logged or sent."""

import re

# A raw "/" or "@" inside a password is not a valid URL, but people type it: hide up to the last "@".
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s:@/]*):[^\s]*@")
_QUERY = re.compile(r"([?&](?:password|passwd|pass|pwd|token|secret|key)=)[^\s&#]*", re.IGNORECASE)


def redact(text: str) -> str:
    """Replaces the password of every URL in ``text`` by ``***``; the user name stays readable."""
    return _QUERY.sub(r"\1***", _USER_INFO.sub(r"\1:***@", text))
