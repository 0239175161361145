"""A self-signed certificate for localhost."""

import subprocess
from pathlib import Path

from tests.support import need_command


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Creates a self-signed certificate; returns the files of the certificate and of its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *(need_command("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
