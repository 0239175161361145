"""What becomes of events: kept, replayed, sent out.

Only ``base`` and ``scene``; no torch, no zmq. Packages of services are loaded where they are configured.
"""
