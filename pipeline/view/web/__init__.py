"""The web page: live pictures with their predictions, in a browser on this machine."""

from pipeline.view.web.board import Info, picture_info
from pipeline.view.web.server import WebError, WebView

__all__ = ["Info", "WebError", "WebView", "picture_info"]
