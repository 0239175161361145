"""Which inference worker may answer for a stream: the next one has a higher generation."""

from dataclasses import dataclass

from pipeline.account.stats import MOST_STREAMS
from pipeline.base.errors import WireError
from pipeline.wire.messages import BadPicture, EndOfStream, Prediction


@dataclass
class _Answered:
    """The last frame of a stream that was answered, and the last that a former owner has answered.

    Both as session and ``seq``: sessions of capture have no order.
    """

    newest: tuple[int, int] | None = None
    by_former: tuple[int, int] | None = None


class Owners:
    """The owners of streams, as their answers tell."""

    def __init__(self) -> None:
        self._generations: dict[str, int] = {}
        self._answered: dict[str, _Answered] = {}

    @property
    def generations(self) -> dict[str, int]:
        """The highest generation that was seen of each stream; 0 is left out."""
        return dict(self._generations)

    def check(self, message: Prediction | BadPicture | EndOfStream) -> None:
        """Lets an answer of the owner pass; the next owner's too, but for frames that are answered.

        Raises:
            WireError: ``generation``: somebody else is the owner, or the former one was faster.
        """
        stream_id, generation = message.stream_id, message.generation
        known = self._generations.get(stream_id, 0)
        if generation < known:
            raise WireError(
                "generation",
                f"{stream_id}: an answer of generation {generation} is refused: the stream "
                f"was given to another inference worker, which is at {known}",
            )
        answered = self._answered.get(stream_id)
        if answered is None:
            if len(self._answered) >= MOST_STREAMS:  # the census refuses others
                return
            answered = self._answered[stream_id] = _Answered()
        if generation > known:
            self._generations[stream_id] = generation
            answered.by_former = answered.newest
        if isinstance(message, EndOfStream):
            return
        session, seq = message.session, message.seq
        former = answered.by_former
        if former is not None and former[0] == session and seq <= former[1]:
            raise WireError(
                "generation", f"{stream_id}: frame {seq} is refused: the former inference worker answered it"
            )
        answered.newest = session, seq
