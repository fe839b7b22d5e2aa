"""The spools beside one state: a folder for each sink, named after it; what waits in one that no sink uses any more.

What looks into a folder may block, and raises `OSError`; `SpoolBusy` where somebody uses it.
"""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote, unquote

from pricestreamd.state.spool import Spool


def spool_folder(state: Path, sink: str) -> Path:
    """Where the spool of `sink` is, beside the file `state`. A name may hold what a path must not."""
    return _folders(state) / quote(sink, safe=" ").replace(".", "%2E")


def spooled_sinks(state: Path) -> set[str]:
    """The sinks that have a folder there, whether they still exist or not."""
    names: set[str] = set()
    with suppress(FileNotFoundError):
        names = {unquote(folder.name) for folder in _folders(state).iterdir()}
    return {name for name in names if spool_folder(state, name).is_dir()}


def count_waiting(state: Path, sink: str) -> tuple[int, list[str]]:
    """How many lines wait for `sink`, and sentences about damage that was found."""
    with closing(_spool(state, sink)) as spool:
        spool.open()
        return spool.waiting_from(spool.acknowledged), spool.damage


def drop_waiting(state: Path, sink: str) -> int:
    """Forget the lines that wait for `sink`; returns how many they were. What was set aside as damaged stays."""
    with closing(_spool(state, sink)) as spool:
        spool.open()
        count = spool.waiting_from(spool.acknowledged)
        spool.acknowledge(spool.end)
        return count


def _folders(state: Path) -> Path:
    return state.with_name(f"{state.name}.spool")


def _spool(state: Path, sink: str) -> Spool:
    # Nothing is written to it.
    return Spool(spool_folder(state, sink), 0)
