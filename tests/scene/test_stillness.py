"""Which source is called frozen: one whose pictures always differed, and no other."""

import numpy as np

from pipeline.base.frame import Image
from pipeline.scene.stillness import Stillness
from tests.scene.staged import FPS, MS, noisy, scene

SCENE = scene()


class Source:
    def __init__(self) -> None:
        self.stillness, self.frames = Stillness(), 0

    def send(self, seconds: float, image: Image | None = None) -> bool:
        """Pictures with noise, or one again and again; whether it ever was frozen."""
        was = False
        for _ in range(round(seconds * FPS)):
            picture = noisy(SCENE, self.frames) if image is None else image
            self.stillness.look(picture, self.frames * 1000 // FPS * MS)
            was |= self.stillness.is_frozen
            if not self.stillness.is_frozen:
                self.stillness.learn(1 / FPS)
            self.frames += 1
        return was


def test_the_same_picture_for_four_seconds_after_pictures_that_differed() -> None:
    source = Source()
    assert not source.send(20)
    assert not source.send(3.9, SCENE)
    assert source.send(0.5, SCENE)
    assert source.stillness.since_ns == 20_000 * MS
    assert not source.send(10)


def test_encoding_a_frozen_picture_again_and_again_does_not_hide_it() -> None:
    source, picture = Source(), noisy(SCENE, 1)
    source.send(20)
    rng, frozen = np.random.default_rng(1), False
    for _ in range(6 * FPS):
        error = rng.random(picture.shape) < 0.1  # of one grey level
        frozen |= source.send(1 / FPS, np.where(error, picture ^ 1, picture).astype(np.uint8))
    assert frozen


def test_a_source_without_noise_or_one_that_stands_still_at_times_is_never_frozen() -> None:
    silent = Source()
    assert not silent.send(60, SCENE)
    screen = Source()
    assert not screen.send(10)
    assert not screen.send(2, SCENE), "as a screen that nobody touches"
    assert not screen.send(20)
    assert not screen.send(60, scene(2))


def test_a_camera_is_known_before_it_is_judged() -> None:
    source = Source()
    source.send(10)
    assert not source.send(4.5, SCENE)


def test_every_picture_sent_twice_is_no_standstill() -> None:
    source = Source()
    for number in range(40 * FPS // 2):
        assert not source.send(2 / FPS, noisy(SCENE, number))
    assert source.send(6, SCENE)


def test_noise_that_becomes_less_is_no_standstill() -> None:
    source = Source()
    source.send(20)
    for number in range(20 * FPS):
        assert not source.send(1 / FPS, noisy(SCENE, number, sigma=0.7))
