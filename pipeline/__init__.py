"""KVQ Stream: a real-time camera pipeline that understands motion."""

__version__ = "0.2.0"
