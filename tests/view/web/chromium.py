"""A real browser for the tests: Debian's chromium, steered by playwright."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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


_shared: list[Any] = []


@contextmanager
def one_browser() -> Iterator[Any]:
    """Until its end, all pages are those of one browser, which takes seconds to start; skips without one."""
    chromium = need_command("chromium", "chromium")
    need_module("playwright", "playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        _shared.append(browser)
        try:
            yield browser
        finally:
            _shared.remove(browser)
            browser.close()


@contextmanager
def open_page(**options: Any) -> Iterator[Any]:
    """A page that shares nothing with others: no storage and no cache."""
    with one_browser() if not _shared else nullcontext(_shared[-1]) as browser:
        context = browser.new_context(**options)
        try:
            page = context.new_page()
            page.set_default_timeout(20_000)
            yield page
        finally:
            context.close()
