"""Whether a sink could write to its file is found out without a trace."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pricestreamd.daemon.trial.places import is_place, try_place
from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.settings import FileSinkSettings, SqliteSinkSettings


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.glob("**/*")}


def test_a_folder_that_is_to_be_made_is_not_made(tmp_path: Path) -> None:
    assert try_place("f", FileSinkSettings(path=tmp_path / "a" / "b" / "c.jsonl")) == []
    assert everything(tmp_path) == {}


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    lines, rows = tmp_path / "c.jsonl", tmp_path / "c.db"
    lines.write_text("torn")
    with closing(sqlite3.connect(rows)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE mine (x)")
    before = everything(tmp_path)

    try_place("f", FileSinkSettings(path=lines))
    try_place("s", SqliteSinkSettings(path=rows))

    assert everything(tmp_path) == before


def test_what_is_no_database_is_told_and_not_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_text("no database at all" * 100)
    before = everything(tmp_path)

    with pytest.raises(SinkError, match="not a database"):
        try_place("s", SqliteSinkSettings(path=path))

    assert everything(tmp_path) == before


def test_a_file_in_the_way_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(SinkError, match="plain is no folder"):
        try_place("f", FileSinkSettings(path=tmp_path / "plain" / "deeper" / "c.jsonl"))


def test_the_folder_of_a_service_that_never_ran_is_made_for_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (note,) = try_place("f", FileSinkSettings(path=state / "c.jsonl"), state)
    assert note == f"{state} is made when the service is first started"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_root_is_told_that_its_rights_say_nothing(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, -1)
    (note,) = try_place("f", FileSinkSettings(path=tmp_path / "c.jsonl"))
    assert note.startswith(f"tried as root; {tmp_path} belongs to nobody: sudo -u nobody pricestreamd check --connect")


def test_a_pipe_is_no_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_place(tmp_path / "pipe")
    assert is_place(tmp_path / "new")
