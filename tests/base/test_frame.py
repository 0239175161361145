import numpy as np

from pipeline.base.frame import Frame, FrameId


def frame(policy, pts_ns):
    image = np.zeros((2, 2, 3), np.uint8)
    return Frame(FrameId("door", 1, 0, 0), image, capture_ns=1_000, pts_ns=pts_ns, policy=policy)


def test_a_file_has_the_time_of_its_own_clock_and_a_camera_that_of_the_capture():
    assert frame("every", 40).time_ns == 40
    assert frame("every", 0).time_ns == 0
    assert frame("every", None).time_ns == 1_000
    assert frame("newest", 40).time_ns == 1_000
