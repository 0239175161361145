"""The pose of the demo's camera, and how each camera motion changes it.

Labels describe what the camera does: in ``pan_right`` the camera turns right, so the content moves left. In
``tilt_up`` the content moves down; in ``zoom_in`` it grows; in ``roll_cw`` it turns anticlockwise.
"""

from dataclasses import dataclass
from math import cos, sin

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 640, 480
"""Size of the view in px."""

# Speeds of a hand-held camera, per second: fractions of the image size, zoom factor, radians.
_PAN, _TILT, _ZOOM, _ROLL = 0.48, 0.46, 1.64, 0.75
VELOCITIES = {
    "static": (0.0, 0.0, 0.0, 0.0),
    "pan_left": (-_PAN, 0.0, 0.0, 0.0),
    "pan_right": (_PAN, 0.0, 0.0, 0.0),
    "tilt_up": (0.0, -_TILT, 0.0, 0.0),
    "tilt_down": (0.0, _TILT, 0.0, 0.0),
    "zoom_in": (0.0, 0.0, 1.0, 0.0),
    "zoom_out": (0.0, 0.0, -1.0, 0.0),
    "roll_cw": (0.0, 0.0, 0.0, _ROLL),
    "roll_ccw": (0.0, 0.0, 0.0, -_ROLL),
}
"""Velocity per second by camera motion: right, down, exponent of ``_ZOOM``, clockwise angle."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Pose of the camera.

    Attributes:
        x: Centre of the view on the canvas, in px from the left.
        y: Centre of the view on the canvas, in px from the top.
        scale: Pixels of the view per pixel of the canvas.
        angle: Clockwise rotation of the camera, in radians.
    """

    x: float
    y: float
    scale: float
    angle: float = 0.0

    def moved(self, motion: str, seconds: float) -> "Pose":
        """The pose after a motion at its usual speed, along the camera's own axes."""
        right, down, zoom, roll = VELOCITIES[motion]
        right *= WIDTH * seconds / self.scale
        down *= HEIGHT * seconds / self.scale
        return Pose(
            self.x + right * cos(self.angle) - down * sin(self.angle),
            self.y + right * sin(self.angle) + down * cos(self.angle),
            self.scale * _ZOOM ** (zoom * seconds),
            self.angle + roll * seconds,
        )

    def shaken(self, seconds: float) -> "Pose":
        """The pose of a camera shaken by the wind, by a few pixels of the view."""
        x = 2.2 * sin(17.3 * seconds) + 1.3 * sin(43.1 * seconds + 1)
        y = 1.6 * sin(23.7 * seconds + 2) + 1.1 * sin(51.9 * seconds)
        roll = 0.003 * sin(20.1 * seconds + 3)
        return Pose(self.x + x / self.scale, self.y + y / self.scale, self.scale, self.angle + roll)

    def view_to_canvas(self) -> npt.NDArray[np.float64]:
        """Matrix ``(2, 3)`` from pixels of the view to pixels of the canvas."""
        along, across = cos(self.angle) / self.scale, sin(self.angle) / self.scale
        middle_x, middle_y = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
        return np.array(
            [
                [along, -across, self.x - along * middle_x + across * middle_y],
                [across, along, self.y - across * middle_x - along * middle_y],
            ]
        )

    def canvas_to_view(self) -> npt.NDArray[np.float64]:
        """Matrix ``(2, 3)`` from pixels of the canvas to pixels of the view."""
        along, across = self.scale * cos(self.angle), self.scale * sin(self.angle)
        middle_x, middle_y = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
        return np.array(
            [
                [along, across, middle_x - along * self.x - across * self.y],
                [-across, along, middle_y + across * self.x - along * self.y],
            ]
        )
