"""A page that is served, and what it is looked at with."""

import pytest

from pipeline.view.web.server import WebView
from tests.view.web.chromium import one_browser


@pytest.fixture
def view():
    with WebView("127.0.0.1", 0, max_fps=200) as running:
        yield running


@pytest.fixture(scope="module")
def chromium():
    """One browser for all pages of a module."""
    with one_browser() as browser:
        yield browser
