import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.video.pose import HEIGHT, VELOCITIES, WIDTH, Pose


def test_the_camera_knows_how_to_make_every_motion() -> None:
    assert tuple(VELOCITIES) == CAMERA_MOTIONS


@given(
    pose=st.builds(Pose, *[st.floats(0, 1400)] * 2, scale=st.floats(0.3, 3), angle=st.floats(-3, 3)),
    x=st.floats(0, WIDTH),
    y=st.floats(0, HEIGHT),
)
def test_from_the_view_to_the_canvas_and_back(pose: Pose, x: float, y: float) -> None:
    there, back = pose.view_to_canvas(), pose.canvas_to_view()
    on_canvas = there[:, :2] @ (x, y) + there[:, 2]
    np.testing.assert_allclose(back[:, :2] @ on_canvas + back[:, 2], (x, y), atol=1e-6)
