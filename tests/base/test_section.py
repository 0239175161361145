import msgspec
import pytest

from pipeline.base.section import Section


class Door(Section, frozen=True, kw_only=True):
    is_open: bool = False


def test_what_is_misspelt_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="is_opne"):
        msgspec.convert({"is_opne": True}, Door)


def test_nothing_changes_once_it_is_read() -> None:
    with pytest.raises(AttributeError):
        msgspec.convert({"is_open": True}, Door).is_open = False  # type: ignore[misc]
