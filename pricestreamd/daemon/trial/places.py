"""Tries out whether a sink could write to its file, and leaves no file, no folder and no changed database behind."""

from __future__ import annotations

import os
import pwd
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.settings import FileSinkSettings, SqliteSinkSettings
from pricestreamd.sinks.sqlite import PriceTable

# What is written and removed again, and what should be left of the disk then.
_TRIAL_BYTES = 64 * 1024
_ENOUGH_BYTES = 1024 * 1024
_ROOT = 0


def is_place(path: Path) -> bool:
    """Whether `path` is, or would be, a plain file, which can be tried out so; a pipe or a device is opened instead."""
    with suppress(OSError):
        return path.is_file() or not path.exists()
    return True


def try_place(name: str, settings: FileSinkSettings | SqliteSinkSettings, state: Path | None = None) -> list[str]:
    """Try the file of sink `name`; what is worth saying. `state`: a folder that a service manager makes. Blocks.

    Raises:
        SinkError: it could not be written, or is a database of somebody else.
    """
    path = settings.path
    try:
        folder = _nearest(path.parent.resolve())
        if state is not None and not state.exists() and state in path.parents:
            return [f"{state} is made when the service is first started"]
        if path.is_file():
            with path.open("r+b"):
                pass
            if isinstance(settings, SqliteSinkSettings):
                _look_into(name, settings)
        with tempfile.NamedTemporaryFile(prefix=".pricestreamd-check-", dir=folder) as file:
            file.write(bytes(_TRIAL_BYTES))
            file.flush()
            os.fsync(file.fileno())
        room = os.statvfs(folder)
        if room.f_bavail * room.f_frsize < _ENOUGH_BYTES:
            raise SinkError(f"{path}: the disk is full: make room in {folder}", sink=name)
        return _whose(path if path.exists() else folder)
    except OSError as exc:
        raise SinkError(f"{path}: {exc.strerror or exc}", sink=name) from exc


def _nearest(folder: Path) -> Path:
    """The folder itself, or the one in which it would be made."""
    while not folder.is_dir():
        if folder.exists():
            raise NotADirectoryError(20, f"{folder} is no folder")
        folder = folder.parent
    return folder


def _look_into(name: str, settings: SqliteSinkSettings) -> None:
    """Refuse a database that the sink would refuse. `immutable`: no lock, and no file beside it, is made."""
    table = PriceTable(settings.path, name, busy_seconds=0, checked_bytes=0)
    address = f"file:{quote(str(settings.path.absolute()))}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            table.version_of(connection)
    except sqlite3.Error as exc:
        raise SinkError(f"{settings.path}: {exc}", sink=name) from exc


def _whose(path: Path) -> list[str]:
    """Root may write anywhere, and the daemon is somebody else: what was tried does not tell of its rights."""
    owner = path.stat().st_uid
    if os.geteuid() != _ROOT or owner == _ROOT:
        return []
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    return [
        f"tried as root; {path} belongs to {name}: sudo -u {name} pricestreamd check --connect tries that user's rights"
    ]
