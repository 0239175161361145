"""The web page and HTTP API: live images with their predictions.

Served from a thread of the sink, together with the HTTP API and the metrics. Only this package uses
Starlette, uvicorn and prometheus-client.
"""
