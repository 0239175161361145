"""What waits to become evidence."""

from tests.workers.evidence_samples import event, shown
from workers.evidence_queue import EvidenceQueue, Seen, Told


def test_pictures_are_bounded_in_bytes_until_they_are_done_with_and_events_always_find_room() -> None:
    first = Seen(*shown(0))
    queue = EvidenceQueue(2 * first.image.nbytes)
    for seq in range(4):
        queue.put(Seen(*shown(seq)))
    queue.put(Told(event(1), 0))
    assert (queue.missed, queue.waiting) == (2, 2 * first.image.nbytes)
    taken = [queue.pop() for _ in range(4)]
    assert [type(one) for one in taken] == [Seen, Seen, Told, type(None)]
    assert queue.waiting == 2 * first.image.nbytes
    for one in taken[:3]:
        assert one is not None
        queue.done_with(one)
    assert queue.waiting == 0


def test_a_single_picture_may_be_larger_than_all_the_room() -> None:
    queue = EvidenceQueue(1)
    queue.put(Seen(*shown(0)))
    queue.put(Seen(*shown(1)))
    assert queue.missed == 1
