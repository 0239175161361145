"""The web page: live pictures with their predictions, in a browser on this machine.

Served from a thread of the sink, with the HTTP API and the metrics for other programs. Starlette, uvicorn
and prometheus-client are used here only.
"""
