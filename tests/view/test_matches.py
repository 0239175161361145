"""The picture of the matched places."""

import msgspec
import numpy as np
import pytest

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Thing
from pipeline.view.matches import PastPicture, draw_matches
from pipeline.view.things_overlay import thing_color
from pipeline.view.watch_overlay import Watched
from tests.view.samples import picture, thing

NOW = (0.5, 0.4, 0.1, 0.2)
THEN = [(0.3, 0.4, 0.1, 0.2), (0.4, 0.4, 0.1, 0.2)]


def matched() -> Thing:
    return msgspec.structs.replace(thing(NOW, 0.0), was=THEN)


def drawn(image: Image, past_images: list[Image | None], **more: object) -> Image:
    ages = zip(past_images, (200.0, 100.0), THEN, strict=True)
    return draw_matches(
        image, matched(), [PastPicture(*one) for one in ages], "door: something entered", **more
    )  # type: ignore[arg-type]


def is_marked(part: Image) -> bool:
    """Whether the colour of the thing is in a part of the picture."""
    off = np.abs(part.astype(int) - thing_color(matched())).max(axis=2)
    return bool((off < 40).sum() > 20)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (320, 240), (240, 480)])
def test_each_frame_has_a_column_with_the_thing_marked_in_it(size: tuple[int, int]) -> None:
    image = picture(*size)
    result = drawn(image, [image, image])
    assert result.shape[1] == 1440
    top = 90
    whole = result[top : top + (result.shape[0] - top) // 2]
    close = result[top + (result.shape[0] - top) // 2 :]
    for column in range(3):
        assert is_marked(whole[:, column * 480 : (column + 1) * 480]), column
        assert is_marked(close[:, column * 480 : (column + 1) * 480]), column


def test_the_columns_show_their_own_pictures_oldest_first() -> None:
    images = [picture(640, 480, value) for value in (20, 120, 220)]
    result = drawn(images[2], [images[0], images[1]])
    corners = [int(result[100, 20 + 476 * column, 0]) for column in range(3)]
    assert [round(value, -1) for value in corners] == [20, 120, 220]


def test_a_past_picture_that_is_gone_is_said_to_be() -> None:
    result = drawn(picture(), [None, picture()])
    assert (np.abs(result[100:110, 20:40].astype(int) - 40) <= 1).all()


def test_the_zone_is_shown_where_it_is_now() -> None:
    zone = Watched("door", [(0.02, 0.02), (0.3, 0.02), (0.3, 0.98), (0.02, 0.98)], is_lit=True)
    plain, shown = drawn(picture(), [picture()] * 2), drawn(picture(), [picture()] * 2, watched=[zone])
    changed = (plain != shown).any(axis=2)
    assert changed[:, 960:].any()
    assert not changed[:, :950].any()


def test_pictures_are_not_altered() -> None:
    image = picture()
    image.flags.writeable = False
    drawn(image, [image, image])


def test_a_thing_at_the_edge_is_shown_close_up_inside_the_picture() -> None:
    one = msgspec.structs.replace(thing((0.95, 0.95, 0.05, 0.05), 0.0), was=[(0.9, 0.95, 0.05, 0.05)])
    result = draw_matches(picture(), one, [PastPicture(picture(), 100.0, one.was[0])], "door")
    assert result.shape[1] == 1440
