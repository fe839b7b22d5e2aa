"""A file that a command writes is whole at the end, or as it was."""

import os
from pathlib import Path

import pytest

from pricestreamd.cli.output import replaced
from pricestreamd.cli.words import UsageError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_file_is_new_when_all_went_well(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    out.chmod(0o604)
    with replaced(str(out), []) as file:
        file.write(b"new")
        file.flush()
        assert out.read_text() == "old"
    assert out.read_text() == "new"
    assert out.stat().st_mode & 0o777 == 0o604
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_file_is_as_it_was_when_something_went_wrong(tmp_path: Path, error: type[BaseException]) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    with pytest.raises(error), replaced(str(out), []) as file:  # noqa: PT012 - both belong to what went wrong
        file.write(b"half")
        raise error
    assert out.read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_link_stays_and_what_it_leads_to_is_new(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    link = tmp_path / "link"
    link.symlink_to("real")
    with replaced(str(link), []) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_device_or_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with replaced(str(pipe), []) as file:
            file.write(b"new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    with replaced("/dev/null", []) as file:
        file.write(b"gone")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("kind", ["itself", "symbolic", "hard"])
def test_a_file_that_is_read_is_no_output(tmp_path: Path, kind: str) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out"
    source.write_text("precious")
    if kind == "symbolic":
        out.symlink_to(source)
    elif kind == "hard":
        os.link(source, out)
    else:
        out = source
    with pytest.raises(UsageError, match="is one of the files to be read"), replaced(str(out), ["none", str(source)]):
        pass
    assert source.read_text() == "precious"


def test_what_cannot_be_written_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"cannot write {tmp_path}/no/x: folder {tmp_path}/no: No such file"):
        with replaced(f"{tmp_path}/no/x", []):
            pass
    with pytest.raises(UsageError, match="is a folder"), replaced(str(tmp_path), []):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write .*file/x: Not a directory"), replaced(f"{tmp_path}/file/x", []):
        pass
