"""Checks the web page's address before anything starts."""

from pipeline.base.config import Config
from pipeline.view.web.page_port import bind_page


def check_page(config: Config) -> None:
    """Binds the page's port and releases it at once.

    Raises:
        WebError: The port can't be used, for example because another run uses it, or the host is not a
            loopback address.
    """
    if config.sink.web:
        bind_page(config.sink.web_host, config.sink.web_port).close()
