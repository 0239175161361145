"""Places speed labels of moving objects without overlaps."""

from collections.abc import Iterator, Mapping, Sequence

from pipeline.base.frame import Image
from pipeline.base.moving_thing import Thing
from pipeline.scene.ground import GroundSpeed
from pipeline.scene.sentence import IN_PLACE
from pipeline.view.canvas import WHITE, Box, Scale, fill_panel, put_text, text_size


def draw_speeds(
    canvas: Image,
    things: Sequence[Thing],
    taken: Sequence[Box],
    ground_speeds: Mapping[int, GroundSpeed] | None = None,
) -> list[Box]:
    """Draws the speed of each thing that does not only move in place; labels that do not fit are omitted.

    Args:
        canvas: Image, drawn on in place.
        things: Highest score first, which is also the order of placement.
        taken: Boxes to leave free.
        ground_speeds: Metres per second by thing id; other speeds are in image widths per second.

    Returns:
        The boxes that were drawn.
    """
    scale = Scale.of(canvas)
    size, pad, height = 0.4 * scale.unit, scale.px(4), scale.px(17)
    labels: list[Box] = []
    for thing in things:
        if thing.speed < IN_PLACE:
            continue
        figure = ground_speeds.get(thing.id) if ground_speeds else None
        text = f"{figure.m_s:.1f} ±{figure.error:.1f} m/s" if figure else f"{thing.speed:.2f}"
        width = text_size(text, size)[0] + 2 * pad
        others = [*taken, *labels]
        box = next((box for box in _places(thing, width, height, scale) if box.is_free(canvas, others)), None)
        if box is not None:
            fill_panel(canvas, box, scale.px(5))
            put_text(canvas, text, box.x + pad, box.y + height // 2, size, WHITE)
            labels.append(box)
    return labels


def _places(thing: Thing, width: int, height: int, scale: Scale) -> Iterator[Box]:
    """Candidate boxes above, below, beside and on the thing; shifted sideways into the image if necessary."""
    gap = scale.px(4)
    x, y, box_width, box_height = thing.box
    corners = thing.outline or [(x, y), (x + box_width, y + box_height)]
    pixels = [(x * scale.width, y * scale.height) for x, y in corners]
    top, bottom = min(pixels, key=lambda at: at[1]), max(pixels, key=lambda at: at[1])
    left, right = min(pixels), max(pixels)
    middle = ((left[0] + right[0]) / 2, (top[1] + bottom[1]) / 2)
    for centre_x, centre_y in (
        (top[0], top[1] - gap - height / 2),
        (bottom[0], bottom[1] + gap + height / 2),
        (left[0] - gap - width / 2, left[1]),
        (right[0] + gap + width / 2, right[1]),
        middle,
    ):
        column = min(max(round(centre_x - width / 2), 0), scale.width - width)
        yield Box(column, round(centre_y - height / 2), width, height)
