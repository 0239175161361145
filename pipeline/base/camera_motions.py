"""Names of the camera motions in the shipped model and the demo.

They describe what the **camera** does: in ``pan_right`` it turns right, so the content moves left; in
``tilt_up`` the content moves down; in ``zoom_in`` the content grows; in ``roll_cw`` the camera rolls
clockwise.
"""

CAMERA_MOTIONS = (
    "static",
    "pan_left",
    "pan_right",
    "tilt_up",
    "tilt_down",
    "zoom_in",
    "zoom_out",
    "roll_cw",
    "roll_ccw",
)
