"""The address of the web page: binds its port without loading the web server."""

import errno
import ipaddress
import socket

from pipeline.base.errors import OutputError
from pipeline.base.redact import reason


class WebError(OutputError):
    """The page cannot be served."""


def bind_page(host: str, port: int) -> socket.socket:
    """A listening socket for the page; with port 0 on a free port.

    Raises:
        WebError: The host is not a loopback address, or the port can't be used, for example because another
            program uses it.
    """
    if loopback_host(host) is None:
        raise WebError(
            f"sink.web_host {host!r}: the page is served on loopback addresses only: "
            "use 127.0.0.1, and an SSH tunnel from other machines"
        )
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    # Without this option, the port of a recently closed page (TIME_WAIT) would count as in use.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        is_taken = error.errno == errno.EADDRINUSE
        advice = "is another KVQ Stream running? " if is_taken else ""
        raise WebError(
            f"{page_url(host, port)}: {reason(error)}: "
            f"{advice}use a free port with --set sink.web_port=0, or --no-web"
        ) from None
    return listener


def page_url(host: str, port: int) -> str:
    """Address of the page."""
    return f"http://{loopback_host(host) or host}:{port}"


def loopback_host(host: str) -> str | None:
    """A loopback host name or address in URL form; None if it may refer to another machine."""
    if host.lower() == "localhost":
        return "localhost"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not address.is_loopback:
        return None
    return f"[{ipaddress.IPv6Address(int(address))}]" if address.version == 6 else str(address)
