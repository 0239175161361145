"""A page that is served."""

import pytest

from pipeline.view.web.server import WebView


@pytest.fixture
def view():
    with WebView("127.0.0.1", 0, max_fps=200) as running:
        yield running
