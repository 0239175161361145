"""Key files: made with the right modes, loaded only if safe, with readable errors."""

import stat
from pathlib import Path

import pytest
import zmq.auth

from pipeline.base.errors import SecurityError
from pipeline.wire.keys import allow, find_public, load_allowed, load_pair, load_public, new_keys


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_pair_is_made_and_loaded(tmp_path: Path) -> None:
    public, secret = new_keys(tmp_path / "keys", "sink-1")
    assert (public.name, secret.name) == ("sink-1.key", "sink-1.key_secret")
    assert mode(secret) == 0o600
    assert mode(secret.parent) == 0o700
    pair = load_pair(secret)
    assert pair.public == load_public(public)
    assert pair.secret.decode() not in public.read_text()
    assert pair.secret.decode() not in repr(pair)
    assert zmq.auth.load_certificate(secret) == (pair.public, pair.secret)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    _, secret = new_keys(tmp_path, "sink")
    before = secret.read_text()
    with pytest.raises(SecurityError, match="exists already"):
        new_keys(tmp_path, "sink")
    assert secret.read_text() == before


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 65, "a b"])
def test_names_that_are_no_file_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(SecurityError, match="is not a valid key name"):
        new_keys(tmp_path, name)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660])
def test_a_secret_that_others_can_read_is_refused(bits: int, tmp_path: Path) -> None:
    _, secret = new_keys(tmp_path, "sink")
    secret.chmod(bits)
    with pytest.raises(SecurityError, match=f"run chmod 600 {secret}"):
        load_pair(secret)


def test_files_that_are_no_keys(tmp_path: Path) -> None:
    public, _ = new_keys(tmp_path, "sink")
    with pytest.raises(SecurityError, match="holds no secret key"):
        load_pair(public)
    with pytest.raises(SecurityError, match="can't be read: no such file; copy it from the machine where"):
        load_public(tmp_path / "missing.key")
    with pytest.raises(
        SecurityError, match="can't be read: no such file; create one with `kvq-stream keys new"
    ):
        load_pair(tmp_path / "missing.key_secret")
    for text in (
        "",
        "nonsense",
        'public-key = "short"',
        f'public-key = "{"~" * 40}"',
        f'public-key = "{"#" * 40}"',
    ):
        wrong = tmp_path / "wrong.key"
        wrong.write_text(text)
        with pytest.raises(SecurityError, match="is not a key file: copy it from the machine where"):
            load_public(wrong)


def test_the_file_of_a_public_key_is_found(tmp_path: Path) -> None:
    (tmp_path / "broken.key").write_text("nonsense")
    public, secret = new_keys(tmp_path, "sink")
    new_keys(tmp_path, "other")
    assert find_public(tmp_path, load_public(public)) == public
    assert find_public(tmp_path / "missing", load_public(public)) is None
    public.unlink()
    assert find_public(tmp_path, load_pair(secret).public) is None, "only public files are named"


def test_keys_of_two_pairs_are_not_mixed(tmp_path: Path) -> None:
    _, mine = new_keys(tmp_path, "mine")
    other, _ = new_keys(tmp_path, "other")
    mine.write_text(mine.read_text().replace(load_public(mine).decode(), load_public(other).decode()))
    with pytest.raises(SecurityError, match="keys do not match"):
        load_pair(mine)


def test_allowing_copies_the_public_key_only(tmp_path: Path) -> None:
    public, secret = new_keys(tmp_path, "sink")
    place = allow(tmp_path / "allowed", public)
    assert place == tmp_path / "allowed" / "sink.key"
    assert mode(place) == 0o600
    assert mode(place.parent) == 0o700
    assert load_pair(secret).secret.decode() not in place.read_text()
    assert allow(tmp_path / "allowed", public) == place, "allowing twice does no harm"
    assert len(load_allowed(tmp_path / "allowed")) == 1


def test_a_secret_key_is_not_allowed_whatever_its_name(tmp_path: Path) -> None:
    public, secret = new_keys(tmp_path, "sink")
    with pytest.raises(SecurityError, match=f"is a secret key.* allow the public one, {public}$"):
        allow(tmp_path / "allowed", secret)
    disguised = secret.rename(tmp_path / "camera.key")
    with pytest.raises(SecurityError, match="is a secret key"):
        allow(tmp_path / "allowed", disguised)
    assert not (tmp_path / "allowed").exists()


def test_allowing_does_not_replace_another_key(tmp_path: Path) -> None:
    first, _ = new_keys(tmp_path / "a", "sink")
    second, _ = new_keys(tmp_path / "b", "sink")
    allow(tmp_path / "allowed", first)
    with pytest.raises(SecurityError, match="holds another key"):
        allow(tmp_path / "allowed", second)


def test_a_damaged_file_among_the_allowed_admits_nobody(tmp_path: Path) -> None:
    (tmp_path / "broken.key").write_text("nonsense")
    assert load_allowed(tmp_path) == set()
    assert load_allowed(tmp_path / "missing") == set()
