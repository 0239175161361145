from pathlib import Path

import pytest

from pipeline.events.secret import read_secret
from pipeline.events.sender import OutletError
from tests.events.messages import outlet

URL = "http://localhost/"


def test_a_secret_comes_from_the_environment_or_a_file_or_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVQ_TEST_SECRET", "from the environment")
    (tmp_path / "secret").write_text("from a file\n")
    assert read_secret(outlet("webhook", URL)) == ""
    assert read_secret(outlet("webhook", URL, secret_env="KVQ_TEST_SECRET")) == "from the environment"
    assert read_secret(outlet("webhook", URL, secret_file=str(tmp_path / "secret"))) == "from a file"


def test_a_secret_that_is_not_there_is_an_error_that_says_where_it_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for keys, message in (
        ({"secret_env": "KVQ_NOT_SET"}, "secret_env: the environment variable KVQ_NOT_SET is not set"),
        ({"secret_file": str(tmp_path / "none")}, "can't be read: No such file or directory"),
        ({"secret_file": str(tmp_path / "empty")}, "is empty"),
        ({"secret_file": str(tmp_path / "bytes")}, "is not text"),
    ):
        with pytest.raises(OutletError, match=message):
            read_secret(outlet("webhook", URL, **keys))
