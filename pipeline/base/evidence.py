"""Names of evidence folders and files."""

from pathlib import Path

SNAPSHOT = "snapshot.jpg"
"""The picture of the moment, as the camera saw it."""
OVERLAY = "overlay.jpg"
"""The same with what was seen in it."""
MATCHES = "matches.jpg"
"""The thing beside its matched places in the past frames."""
CLIP = "clip.mp4"
"""The seconds before and after, as the camera saw them."""
OVERLAY_CLIP = "overlay.mp4"
"""The same with what was seen in them."""
EVENT = "event.json"
"""The event itself, and how complete its evidence is."""
FILES = (SNAPSHOT, OVERLAY, MATCHES, CLIP, OVERLAY_CLIP, EVENT)
GROWING, WHOLE, CUT, NONE = "growing", "whole", "cut", "none"
"""States of a clip: it is being written; it is complete; it ended early; there is none."""


def evidence_folder(root: Path, event_id: str) -> Path:
    """The folder of an event's evidence, known from the id of its ``start`` or ``once`` alone.

    Args:
        root: Folder of all evidence, ``Config.evidence_folder``.
        event_id: 16 hexadecimal digits.
    """
    return root / event_id
