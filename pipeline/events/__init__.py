"""Stores, replays and sends events.

Imports only ``base`` and ``scene``; no torch, no zmq. Packages of services are loaded only if the service is
configured.
"""
