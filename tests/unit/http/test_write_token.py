"""The token's file: whole, for its owner only, and gone when we go."""

import os
from pathlib import Path

import pytest

from pricestreamd.http.write_token import NAME, make_token, read_token, remove_token, token_path
from pricestreamd.model.secret import redact


def test_it_is_in_the_runtime_directory_else_beside_the_state(tmp_path: Path) -> None:
    assert token_path({"RUNTIME_DIRECTORY": "/run/a:/run/b"}, tmp_path / "state.db") == Path("/run/a") / NAME
    assert token_path({}, tmp_path / "state.db") == tmp_path / NAME


def test_it_is_long_random_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / NAME
    before = os.umask(0)
    try:
        token = make_token(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_token(path) == token
    assert len(token.reveal()) >= 43
    assert make_token(path) != token
    assert [entry.name for entry in path.parent.iterdir()] == [NAME]


def test_it_is_hidden_from_whatever_is_logged(tmp_path: Path) -> None:
    token = make_token(tmp_path / NAME)
    assert token.reveal() not in redact(f"a line that holds {token.reveal()} by mistake")
    assert str(token) == "***"


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    path = tmp_path / NAME
    path.symlink_to(precious)
    make_token(path)
    assert precious.read_text() == "precious"
    assert not path.is_symlink()


def test_only_our_own_is_removed(tmp_path: Path) -> None:
    path = tmp_path / NAME
    ours = make_token(path)
    theirs = make_token(path)
    remove_token(path, ours)
    assert read_token(path) == theirs
    remove_token(path, theirs)
    assert not path.exists()
    remove_token(path, theirs)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00", b"x" * 5000, b"a\nb\n"])
def test_a_file_that_holds_no_token_gives_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    assert read_token(path) is None


def test_no_file_no_token(tmp_path: Path) -> None:
    assert read_token(tmp_path / NAME) is None
    (tmp_path / "file").write_text("")
    assert read_token(tmp_path / "file" / NAME) is None


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="File exists"):
        make_token(tmp_path / "file" / NAME)
