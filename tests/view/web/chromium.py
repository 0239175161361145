"""A real browser for the tests: Debian's chromium, steered by playwright."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support import need_command, need_module

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def open_page(**options: Any) -> Iterator[Any]:
    """A page of a fresh browser; skips where there is none."""
    chromium = need_command("chromium", "chromium")
    need_module("playwright", "playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(**options)
        page.set_default_timeout(20_000)
        yield page
        browser.close()
