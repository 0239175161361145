"""Selects the image that shows an event best, and draws why it was reported."""

from collections import OrderedDict
from datetime import datetime

import cv2
import numpy as np
import simplejpeg

from pipeline.base.event import Event
from pipeline.base.evidence import MATCHES, OVERLAY, SNAPSHOT
from pipeline.base.frame import FrameId, Image
from pipeline.base.moving_thing import Thing
from pipeline.base.picture_state import FAULTS
from pipeline.events.evidence_ring import EvidenceRing, KeptPicture
from pipeline.scene.sentence import event_in_words
from pipeline.view.matches import PastPicture, draw_matches
from pipeline.view.overlay import Shown, draw_overlay
from pipeline.view.thumbnails import make_thumbnail
from workers.evidence_case import Case

_BEFORE_NS = 3 * 10**9
_CLEAR_NS = 500_000_000
"""How long before a fault its image was captured: a later one may show a hand that moves to the lens."""
_WIDEST_PX = 1280
_QUALITY = 85
_THUMBNAILS = 64
_PLAIN_BYTES, _WATCHED_BYTES, _THING_BYTES, _POINT_BYTES, _BOX_BYTES = 4096, 256, 640, 112, 176
"""Approximate bytes in memory of: a frame without image and objects, a zone or line, an object, a point of
its outline or trail, a past box of it."""


class PastPictures:
    """Images of the past frames that predictions used.

    Args:
        ring: The frames in memory.
    """

    def __init__(self, ring: EvidenceRing[Shown]) -> None:
        self._ring = ring
        self._thumbnails: OrderedDict[FrameId, Image] = OrderedDict()

    def thumbnails(self, picture: KeptPicture[Shown]) -> list[Image | None]:
        """Thumbnails of the past frames, oldest first; None for frames no longer in memory."""
        for past in picture.details.past:
            if past not in self._thumbnails and (kept := self._ring.find(past)) is not None:
                self.remember(past, unpacked(kept.jpeg))
        return [self._thumbnails.get(past) for past in picture.details.past]

    def drawn(self, picture: KeptPicture[Shown]) -> tuple[Image, Image]:
        """The original image, and the image with the overlay."""
        clean = unpacked(picture.jpeg)
        overlay = draw_overlay(picture.details, clean, self.thumbnails(picture))
        self.remember(picture.id, clean)
        return clean, overlay

    def whole(self, picture: KeptPicture[Shown]) -> list[Image | None]:
        """Full images of the past frames, oldest first; None for frames no longer in memory."""
        kept = [self._ring.find(past) for past in picture.details.past]
        return [unpacked(one.jpeg) if one else None for one in kept]

    def remember(self, frame_id: FrameId, image: Image) -> None:
        """Caches a thumbnail, so that the image need not be decoded again."""
        self._thumbnails[frame_id] = make_thumbnail(image)
        while len(self._thumbnails) > _THUMBNAILS:
            self._thumbnails.popitem(last=False)


def moment_of(case: Case, ring: EvidenceRing[Shown]) -> KeptPicture[Shown] | None:
    """The frame at the time of an event; None if no frame of its stream is in memory.

    If frames of that time are no longer in memory, it is the oldest one.
    """
    stream_id = case.event.stream_id
    if case.event.kind in FAULTS and (told := ring.at(stream_id, case.told_ns)) is not None:
        before = ring.until(stream_id, _dated_from(case, told))
        return before[-1] if before else ring.first_since(stream_id, 0)
    return ring.at(stream_id, case.wall_ns)


def moment_ns_of(case: Case, moment: KeptPicture[Shown], ring: EvidenceRing[Shown]) -> int:
    """Time of an event on the stream's timeline, even if no frame of that time is in memory."""
    told = ring.at(case.event.stream_id, case.told_ns) if case.event.kind in FAULTS else None
    return min(moment.time_ns, _dated_from(case, told or moment))


def _dated_from(case: Case, picture: KeptPicture[Shown]) -> int:
    # faults are dated on the stream's timeline, which may run faster or slower than wall-clock time
    return picture.time_ns - (picture.wall_ns - case.wall_ns)


def chosen(
    case: Case, moment: KeptPicture[Shown], ring: EvidenceRing[Shown]
) -> tuple[KeptPicture[Shown], Thing | None]:
    """The frame that best shows an event, and the moving object in it that the event is about.

    It is the newest frame, up to the one that confirmed the event, in which the object was found together
    with its past positions; for image faults, a frame from 500 ms before the fault.
    """
    event, stream_id = case.event, case.event.stream_id
    if event.kind in FAULTS:
        good = [
            one
            for one in ring.until(stream_id, moment.time_ns - _CLEAR_NS)
            if one.details.prediction is not None
        ]
        return good[-1] if good else moment, None
    if event.thing is not None:
        for picture in reversed(ring.between(stream_id, case.wall_ns - _BEFORE_NS, case.told_ns)):
            prediction = picture.details.prediction
            for thing in (prediction.things or ()) if prediction else ():
                if prediction and prediction.past and thing.id == event.thing and thing.was:
                    return picture, thing
    return ring.at(stream_id, case.told_ns) or moment, None


def pictures_of(
    case: Case, moment: KeptPicture[Shown], ring: EvidenceRing[Shown], past: PastPictures
) -> dict[str, bytes]:
    """The images of an event as JPEG, by file name."""
    picture, thing = chosen(case, moment, ring)
    image = unpacked(picture.jpeg)
    is_large = picture.wall_ns == case.told_ns and case.large is not None
    files = {
        SNAPSHOT: case.large if is_large and case.large else picture.jpeg,
        OVERLAY: packed(draw_overlay(picture.details, image, past.thumbnails(picture))),
    }
    if thing is not None:
        files[MATCHES] = packed(matches(case.event, picture, thing, image, past.whole(picture)))
    return files


def matches(
    event: Event, picture: KeptPicture[Shown], thing: Thing, image: Image, past_images: list[Image | None]
) -> Image:
    """An image of the moving object next to its matched positions in past frames."""
    prediction = picture.details.prediction
    assert prediction is not None, "things come from predictions"
    known = min(len(prediction.past), len(thing.was))  # the newest ones
    past = [
        PastPicture(past_image, frame.age_ms, was)
        for past_image, frame, was in zip(
            past_images[-known:], prediction.past[-known:], thing.was[-known:], strict=True
        )
    ]
    local = datetime.fromtimestamp(picture.wall_ns / 1e9).strftime("%H:%M:%S")
    words = f"{local}  {event.stream_id}: {event_in_words(event)}"
    watched = [one for one in picture.details.watched if one.name in (event.zone, event.line)]
    return draw_matches(image, thing, past, words, watched)


def kept(image: Image, shown: Shown) -> KeptPicture[Shown]:
    """A frame as stored in memory: JPEG, at most 1280 px wide."""
    frame, jpeg = shown.frame, packed(at_most(image, _WIDEST_PX))
    return KeptPicture(frame.id, frame.time_ns, frame.capture_ns, jpeg, shown, details_bytes(shown))


def details_bytes(shown: Shown) -> int:
    """Approximate memory of a frame's details in bytes, mostly points of things."""
    nbytes = _PLAIN_BYTES + _WATCHED_BYTES * len(shown.watched)
    if shown.attention is not None:
        nbytes += shown.attention.nbytes
    for prediction in (shown.prediction, shown.held):
        for thing in (prediction.things or ()) if prediction else ():
            points = len(thing.outline) + len(thing.trail)
            nbytes += _THING_BYTES + _POINT_BYTES * points + _BOX_BYTES * len(thing.was)
    return nbytes


def large_of(image: Image) -> bytes | None:
    """Full-size JPEG if the image is larger than what is stored in memory; otherwise None."""
    return packed(image) if image.shape[1] > _WIDEST_PX else None


def at_most(image: Image, width: int) -> Image:
    """The image, downscaled if it is wider than ``width``."""
    if image.shape[1] <= width:
        return image
    size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def packed(image: Image) -> bytes:
    """Encodes an image as JPEG."""
    jpeg: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(image), _QUALITY, "BGR", "420", True)
    return jpeg


def unpacked(jpeg: bytes) -> Image:
    """Decodes a JPEG image."""
    image: Image = simplejpeg.decode_jpeg(jpeg, "BGR")
    return image
