"""Stores, replays and sends events.

Only ``base`` and ``scene``; no torch, no zmq. Packages of services are loaded where they are configured.
"""
