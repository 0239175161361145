"""Names of evidence folders and files."""

from pathlib import Path

SNAPSHOT = "snapshot.jpg"
"""The frame of the event, without overlay."""
OVERLAY = "overlay.jpg"
"""The same frame with the overlay."""
MATCHES = "matches.jpg"
"""The moving object next to its matched positions in the past frames."""
CLIP = "clip.mp4"
"""The seconds before and after the event, without overlay."""
OVERLAY_CLIP = "overlay.mp4"
"""The same clip with the overlay."""
EVENT = "event.json"
"""The event as JSON, with the state of its evidence."""
FILES = (SNAPSHOT, OVERLAY, MATCHES, CLIP, OVERLAY_CLIP, EVENT)
GROWING, WHOLE, CUT, NONE = "growing", "whole", "cut", "none"
"""States of a clip: being written, complete, ended early, missing."""


def evidence_folder(root: Path, event_id: str) -> Path:
    """The folder with an event's evidence.

    Args:
        root: Folder of all evidence, ``Config.evidence_folder``.
        event_id: Id of the ``start`` or ``once`` event, 16 hexadecimal digits.
    """
    return root / event_id
