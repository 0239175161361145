"""The web page: live pictures with their predictions, in a browser on this machine.

Served from a thread of the sink. Starlette and uvicorn are used here only.
"""
