"""The web page and HTTP API: live images with their predictions.

Served from a thread of the sink, with the HTTP API and the metrics for other programs. Starlette, uvicorn
and prometheus-client are used here only.
"""
