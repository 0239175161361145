"""Removes passwords from everything that is printed, logged or sent.

Users paste passwords unescaped, with spaces, "/" and "@", so the end of a URL is ambiguous. In case
of doubt, too much is hidden: text after a URL is kept only if it can't be part of a password.
"""

import re

from pipeline.base.text import printable

# Mistyped separators such as ":/" are accepted only after a known scheme: ordinary words can also end in ":".
_KNOWN = r"(?:rtsps?|rtmps?|https?|udp|srt|tcp|ftp):?[/\\]+"
_SCHEME = rf"(?:{_KNOWN}|[A-Za-z][A-Za-z0-9+.-]{{0,19}}:///*)"
_URL = re.compile(rf"((?<![A-Za-z]){_SCHEME})((?:(?!(?<=[\s'\"]){_SCHEME}).)*)", re.IGNORECASE)
_COLON = re.compile(r":(?=\S)")
_WORD = re.compile(r"\S*")
_HOST = r"(?:[^\s:/?#]*@)?(?:\[[^\s\]]*\]|[^\s:/?#@\[]*)"
_REST_OF_HOST = re.compile(r"[^\s/:?#]+[/:?#]")
_LATER_HOST = re.compile(r"@(?:\[[^\s\]]*\]|[^\s:/?#@\[]+)(?::\d|[/?#])")
_PATH = re.compile(rf"{_HOST}(?::\d{{1,5}})?[/?#][^\s:]*[.,:;)'\"]*")
_PLAIN = re.compile(rf"(?:{_HOST}(?::\d{{1,5}})?|[^\s:]*)[.,:;)'\"]*")
_STOP = re.compile(r"[.,:;!?)'\"](?:\s|$)")
_SECRET = r"[?&;][^=\s&#]{0,64}?(?:pas|pw|secret|token|key|auth)[^=\s&#]{0,64}="
_QUERY = re.compile(rf"({_SECRET})(?!\*\*\*).*?(?=[&#]|{_STOP.pattern}|$)", re.IGNORECASE | re.MULTILINE)
_WHOLE_QUERY = re.compile(rf"({_SECRET})[^&#]*", re.IGNORECASE)
_START = re.compile(_SCHEME, re.IGNORECASE)


def redact(text: str) -> str:
    """Replaces the password of every URL in ``text`` with ``***``; user names stay readable."""
    return _QUERY.sub(r"\1***", _URL.sub(_hide, text))


def redact_source(text: str) -> str:
    """Hides the password in a text that is a single source, even in a mistyped URL.

    No text follows the URL, so everything from the first ":" after the scheme to the last "@" is hidden,
    and secrets in the query up to the next "&". Unprintable characters of file names are replaced.
    """
    scheme = _START.match(text)
    start = scheme.end() if scheme else 0
    login, at, rest = text[start:].rpartition("@")
    user, colon, _ = login.partition(":")
    login = f"{user}:***" if colon else login
    return printable(redact(_WHOLE_QUERY.sub(r"\1***", f"{text[:start]}{login}{at}{rest}")))


def _hide(url: re.Match[str]) -> str:
    scheme, rest = url.groups()
    start, end = _COLON.search(rest), rest.rfind("@", 0, _user_info_end(rest))
    if start is None or start.start() > end:
        return scheme + rest
    return f"{scheme}{rest[: start.start()]}:***{rest[end:]}"


def _user_info_end(rest: str) -> int:
    """Last position at which an "@" can still belong to the URL at the start of ``rest``."""
    words = _WORD.match(rest)
    assert words is not None
    word = words.group()
    if _has_login(word):
        # "@host/" may be part of the password, so later candidates for its end are considered as well.
        stop = _STOP.search(rest, len(word) - 1)
        return _with_later_hosts(rest, stop.start() if stop else len(rest), len(word))
    if _PATH.fullmatch(word):
        return len(word)
    stop = _STOP.search(rest)
    end = stop.start() if stop else len(rest)
    if "@" in rest[:end] or _PLAIN.fullmatch(word):
        return end
    # Without a port or "@" after the ":" the URL is incomplete: the password continues.
    at = rest.find("@")
    behind = _WORD.match(rest, at)
    return _with_later_hosts(rest, behind.end(), at) if behind and at >= 0 else end


def _with_later_hosts(rest: str, end: int, start: int) -> int:
    """``end``, or a later "@" followed by what looks like a host with a port or path."""
    return max([end, *(host.end() for host in _LATER_HOST.finditer(rest, start))])


def _has_login(word: str) -> bool:
    """Whether a password is followed by a host with a port or path."""
    at = word.rfind("@")
    return ":" in word[: max(at, 0)] and _REST_OF_HOST.match(word, at + 1) is not None


def reason(error: BaseException) -> str:
    """The cause of a system error in a few words, without paths or passwords."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(str(text)).splitlines()[0].lower()
