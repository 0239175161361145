"""Key files: ``NAME.key`` is public, ``NAME.key_secret`` stays on its machine.

They use the format of pyzmq's own tools (ZPL, RFC 4), so the files are interchangeable.
"""

import contextlib
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth
from zmq.utils import z85

from pipeline.base.errors import SecurityError
from pipeline.base.program import PROGRAM

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
ALLOWED = Path("keys/allowed")
"""Default folder of allowed keys."""
_CREATE = f"create one with `{PROGRAM} keys new NAME`"
_COPY = "copy it from the machine where it was created"
_PUBLIC = """# Public key of {name}. Copy it to the machines at the other end of its links. To allow it there:
#     keys allow {name}.key
curve
    public-key = "{public}"
"""
_SECRET = """# SECRET key of {name}. Keep it on this machine, in a file that only its owner can read.
curve
    public-key = "{public}"
    secret-key = "{secret}"
"""


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """A machine's keys, encoded as Z85."""

    public: bytes
    secret: bytes


def new_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Creates a key pair, ``NAME.key`` and ``NAME.key_secret`` (mode 600), in ``folder``; creates the folder.

    Returns:
        The two paths, public first.

    Raises:
        SecurityError: The name is invalid, a key of this name exists, or the folder can't be written.
    """
    _check_name(name)
    public_file, secret_file = folder / f"{name}.key", folder / f"{name}.key_secret"
    for file in (public_file, secret_file):
        if file.exists():
            raise SecurityError(f"{file} exists already: remove it first or choose another name")
    public, secret = (key.decode() for key in zmq.curve_keypair())
    _make_folder(folder)
    _write(secret_file, _SECRET.format(name=name, public=public, secret=secret), 0o600)
    _write(public_file, _PUBLIC.format(name=name, public=public), 0o644)
    return public_file, secret_file


def allow(folder: Path, public_key_file: Path) -> Path:
    """Copies a public key to the folder of allowed keys (mode 700, created if missing); returns the new path.

    Workers notice new and removed keys without a restart.

    Raises:
        SecurityError: The file has no public key, or has a secret one; or another key of this name is
            allowed already.
    """
    public, secret = _load(public_key_file, _COPY)
    key, name = public.decode(), public_key_file.name.removesuffix(".key_secret").removesuffix(".key")
    if secret is not None:
        raise SecurityError(
            f"{public_key_file} is a secret key, which must not leave its machine: "
            f"allow the public one, {public_key_file.with_name(name + '.key')}"
        )
    _check_name(name)
    _make_folder(folder)
    target = folder / f"{name}.key"
    if target.exists():
        if load_public(target).decode() == key:
            return target
        raise SecurityError(f"{target} holds another key: remove it first or rename {public_key_file}")
    _write(target, _PUBLIC.format(name=name, public=key), 0o600)
    return target


def load_public(file: Path) -> bytes:
    """The public key in a key file, created on this or another machine.

    Raises:
        SecurityError: The file can't be read or is not a key file.
    """
    return _load(file, _COPY)[0]


def load_pair(file: Path) -> KeyPair:
    """The key pair of a ``NAME.key_secret``.

    Raises:
        SecurityError: The file can't be read, has no secret key, or is readable by others.
    """
    public, secret = _load(file, _CREATE)
    if secret is None:
        raise SecurityError(f"{file} holds no secret key: security.secret_key must be a NAME.key_secret file")
    if file.stat().st_mode & 0o077:
        raise SecurityError(f"{file} can be read by others: run chmod 600 {file}")
    if zmq.curve_public(secret) != public:
        raise SecurityError(f"{file}: its public and secret keys do not match: {_CREATE}")
    return KeyPair(public, secret)


def load_allowed(folder: Path) -> set[bytes]:
    """All public keys in a folder; other files are skipped."""
    keys = set()
    for file in folder.glob("*.key"):
        try:
            keys.add(z85.decode(load_public(file)))
        except SecurityError:
            continue
    return keys


def find_public(folder: Path, key: bytes) -> Path | None:
    """The file in a folder that holds a public key, encoded as Z85; None if there is none."""
    for file in sorted(folder.glob("*.key")):
        with contextlib.suppress(SecurityError):
            if load_public(file) == key:
                return file
    return None


def _load(file: Path, remedy: str) -> tuple[bytes, bytes | None]:
    """Reads the public key of a file, and the secret one if it holds one; errors end with ``remedy``."""
    try:
        public, secret = zmq.auth.load_certificate(file)
        for key in (public, secret or public):
            if len(z85.decode(key)) != 32:
                raise ValueError
    except OSError as error:
        reason = error.strerror or f"no such file; {remedy}"
        raise SecurityError(f"key file {file} can't be read: {reason}") from None
    except (ValueError, KeyError, IndexError, struct.error):
        raise SecurityError(f"{file} is not a key file: {remedy}") from None
    return public, secret


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SecurityError(f"{name!r} is not a valid key name: use 1 to 64 letters, digits, - and _")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SecurityError(f"can't create the folder {folder}: {error.strerror}") from None


def _write(file: Path, text: str, mode: int) -> None:
    """Creates a file that has its final permissions from the start."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise SecurityError(f"can't write {file}: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
