import cv2
import numpy as np
import pytest
import torch
from msgspec.structs import replace

from pipeline.base.camera_motions import CAMERA_MOTIONS
from pipeline.training.rendered.renderer import REVERSE, MotionRenderer, Scene, reverse_label

CLEAN = Scene(object_share=0, overlay_share=0, sensor=False, side_motion=0, shake_px=0)
SHARES = ("flat_share", "scrolling_share", "dark_share", "compressed_share", "blur_share")


def content_motion(before: np.ndarray, after: np.ndarray) -> dict[str, float] | None:
    """Shift (half widths), log scale and clockwise turn of the content, by tracking corners in OpenCV."""
    corners = cv2.goodFeaturesToTrack(before, 200, 0.01, 4)
    if corners is None or len(corners) < 40:
        return None
    found, status, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None, winSize=(15, 15), maxLevel=3)
    kept = status.ravel() == 1
    middle = before.shape[0] / 2 - 0.5
    matrix, inliers = cv2.estimateAffinePartial2D(
        corners[kept] - middle, found[kept] - middle, ransacReprojThreshold=1.0
    )
    if matrix is None or inliers.mean() < 0.8:
        return None
    a, b = matrix[0, 0], matrix[1, 0]
    return {
        "right": matrix[0, 2] / middle,
        "down": matrix[1, 2] / middle,
        "grows": np.log(np.hypot(a, b)),
        "clockwise": np.arctan2(b, a),
    }


def test_each_label_moves_the_content_against_the_camera() -> None:
    expected = {
        "pan_left": ("right", 1),
        "pan_right": ("right", -1),
        "tilt_up": ("down", 1),
        "tilt_down": ("down", -1),
        "zoom_in": ("grows", 1),
        "zoom_out": ("grows", -1),
        "roll_cw": ("clockwise", -1),
        "roll_ccw": ("clockwise", 1),
    }
    renderer = MotionRenderer("cpu", 128, seed=5, bank_count=8, redraw_every=0, scene=CLEAN)
    frames, labels = renderer.batch(144, speed=1.0)
    grey = (frames.mean(dim=2) * 255).round().byte().numpy()
    seen = dict.fromkeys(CAMERA_MOTIONS, 0)
    for clip, label in zip(grey, labels.tolist(), strict=True):
        for before, after in ((clip[0], clip[1]), (clip[1], clip[2])):
            motion = content_motion(before, after)
            if motion is None:
                continue
            name = CAMERA_MOTIONS[label]
            seen[name] += 1
            if name == "static":
                assert max(map(abs, motion.values())) < 0.005
            else:
                direction, sign = expected[name]
                assert motion[direction] * sign > 0.015, (name, motion)
                assert max(motion, key=lambda key: abs(motion[key])) == direction
    assert min(seen.values()) >= 3


def test_the_seed_and_the_step_fix_a_batch() -> None:
    first, second, other = (
        MotionRenderer("cpu", 32, seed=s, bank_count=8, redraw_every=2) for s in (1, 1, 2)
    )
    run = [first.batch(4) for _ in range(5)]
    second.seek(4)
    frames, labels = second.batch(4)
    assert torch.equal(frames, run[4][0])
    assert torch.equal(labels, run[4][1])
    assert not torch.equal(other.batch(4)[0], run[0][0])
    assert not torch.equal(run[0][0], run[1][0])


def test_no_black_borders() -> None:
    renderer = MotionRenderer("cpu", 32, seed=1, bank_count=8, redraw_every=0, scene=CLEAN)
    renderer.bank.pictures.fill_(200)
    frames, _ = renderer.batch(64, speed=2.0)
    assert frames.amin() > 0.78


def test_windows_stay_inside_their_pictures() -> None:
    renderer = MotionRenderer("cpu", 32, seed=1, bank_count=8, redraw_every=0)
    labels = torch.arange(900) % 9
    for speed in (0.4, 1.0, 2.0):
        theta = renderer._windows(labels, speed, torch.Generator().manual_seed(0))
        corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
        places = torch.einsum("ntij,kj->ntki", theta, corners)
        assert (places.abs().amax(dim=(1, 2, 3)) <= 1).float().mean() > 0.97


def statistics(frame: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast, sharpness in both directions and at two scales, and edge of one picture."""
    metrics = [frame.mean(dim=(1, 2, 3)), frame.std(dim=(1, 2, 3))]
    for stride in (1, 2, 4):
        small = torch.nn.functional.avg_pool2d(frame, stride)
        metrics += [small.diff(dim=d).abs().mean(dim=(1, 2, 3)).clamp_min(1e-4).log() for d in (2, 3)]
    metrics.append(frame[:, :, :3].mean(dim=(1, 2, 3)) - frame[:, :, -3:].mean(dim=(1, 2, 3)))
    metrics.append(frame[..., :3].mean(dim=(1, 2, 3)) - frame[..., -3:].mean(dim=(1, 2, 3)))
    return torch.stack(metrics, dim=1)


def probe_accuracy(metrics: torch.Tensor, labels: torch.Tensor) -> float:
    """Accuracy on the second half of a linear and quadratic classifier fitted to the first."""
    metrics = (metrics - metrics.mean(dim=0)) / metrics.std(dim=0)
    metrics = torch.cat((torch.ones(len(metrics), 1), metrics, metrics.square()), dim=1)
    half = len(metrics) // 2
    targets = torch.nn.functional.one_hot(labels, len(CAMERA_MOTIONS)).float()
    weights = torch.linalg.lstsq(metrics[:half], targets[:half]).solution
    return float(((metrics[half:] @ weights).argmax(dim=1) == labels[half:]).float().mean())


@pytest.fixture(scope="module")
def fast_clips() -> tuple[torch.Tensor, torch.Tensor]:
    renderer = MotionRenderer("cpu", 32, seed=9, bank_count=64, redraw_every=0, speeds=(2, 2))
    frames, labels = zip(*(renderer.batch(500) for _ in range(6)), strict=True)
    return torch.cat(frames), torch.cat(labels)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_frame_says_nothing_of_the_label(
    which: int, fast_clips: tuple[torch.Tensor, torch.Tensor]
) -> None:
    frames, labels = fast_clips
    metrics = statistics(frames[:, which])
    # 1500 samples: five standard deviations above chance are 0.15
    assert probe_accuracy(metrics, labels) < 0.15


def test_the_probe_finds_what_two_frames_say(fast_clips: tuple[torch.Tensor, torch.Tensor]) -> None:
    frames, labels = fast_clips
    assert probe_accuracy(statistics(frames[:, 2] - frames[:, 0]), labels) > 0.2


@pytest.mark.parametrize("share", SHARES)
def test_a_disturbance_befalls_its_share_of_the_clips_and_no_other(share: str) -> None:
    plain, disturbed = (
        MotionRenderer("cpu", 48, seed=7, bank_count=8, redraw_every=0, scene=scene).clips(64)
        for scene in (CLEAN, replace(CLEAN, **{share: 0.5}))
    )
    assert torch.equal(plain.labels, disturbed.labels)
    assert disturbed.frames.amin() >= 0
    assert disturbed.frames.amax() <= 1
    change = (plain.frames - disturbed.frames).abs().mean(dim=(1, 2, 3, 4))
    if share == "blur_share":  # drawn clip by clip
        assert 0.3 < (change > 0).float().mean() < 0.7
    else:
        assert (change == 0).sum() == 32
    assert change[change > 0].median() > 5e-4


@pytest.mark.parametrize("share", SHARES)
def test_one_disturbed_frame_says_nothing_of_the_label(share: str) -> None:
    scene = replace(CLEAN, **{share: 1.0})
    renderer = MotionRenderer("cpu", 32, seed=9, bank_count=64, redraw_every=0, speeds=(2, 2), scene=scene)
    frames, labels = renderer.batch(1500)
    for which in range(3):
        # 750 samples: five standard deviations above chance are 0.17
        assert probe_accuracy(statistics(frames[:, which]), labels) < 0.17


def test_playing_backwards_swaps_directions() -> None:
    labels = torch.arange(len(CAMERA_MOTIONS))
    assert torch.equal(reverse_label(reverse_label(labels)), labels)
    assert [CAMERA_MOTIONS[i] for i in REVERSE[:4]] == ["static", "pan_right", "pan_left", "tilt_down"]
    assert all(
        a.split("_")[0] == b.split("_")[0]
        for a, b in zip(CAMERA_MOTIONS, (CAMERA_MOTIONS[i] for i in REVERSE), strict=True)
    )


def test_static_frames_differ_by_light_and_noise_only() -> None:
    shaken = MotionRenderer("cpu", 32, seed=3, bank_count=8, redraw_every=0, scene=Scene(object_share=0))
    frames, labels = shaken.batch(64)
    still = frames[labels == 0]
    assert len(still)
    assert not torch.equal(still[:, 0], still[:, 1])
