"""Which sinks there are."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pricestreamd.model.secret import Secret
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.call import CallSink
from pricestreamd.sinks.file import FileSink
from pricestreamd.sinks.log import LogSink
from pricestreamd.sinks.settings import (
    CallSinkSettings,
    FileSinkSettings,
    LogSinkSettings,
    SinkSettings,
    SqliteSinkSettings,
    WebhookSinkSettings,
)
from pricestreamd.sinks.sqlite import SqliteSink
from pricestreamd.sinks.webhook.sink import WebhookSink


def test_a_sink_is_made_by_its_type_and_has_its_name() -> None:
    path = Path("somewhere")
    made = [
        catalogue.create("one", LogSinkSettings()),
        catalogue.create("two", FileSinkSettings(path=path)),
        catalogue.create("three", SqliteSinkSettings(path=path)),
        catalogue.create("four", WebhookSinkSettings(url=Secret("https://example.org/"))),
        catalogue.create("five", CallSinkSettings(call="builtins:print")),
    ]
    assert [type(sink) for sink in made] == [LogSink, FileSink, SqliteSink, WebhookSink, CallSink]
    assert [sink.name for sink in made] == ["one", "two", "three", "four", "five"]


def test_alerts_go_through_the_outbox_to_every_sink_but_the_log() -> None:
    path = Path("somewhere")
    assert not catalogue.is_durable(LogSinkSettings())
    assert catalogue.is_durable(FileSinkSettings(path=path))
    assert catalogue.is_durable(CallSinkSettings(call="builtins:print"))


def test_what_is_not_there_cannot_be_made() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Pigeon(SinkSettings):
        type: str = "carrier pigeon"

    with pytest.raises(LookupError, match="carrier pigeon"):
        catalogue.create("people", Pigeon())  # type: ignore[arg-type]  # of nobody


def test_what_is_durable_waits_beside_the_state_in_a_folder_of_its_own_whatever_its_name(tmp_path: Path) -> None:
    settings = FileSinkSettings(path=Path("x"), durable=True)
    names = ["ticks", "..", "a/b", "ä b", "A", "a%2Fb"]
    spools = [catalogue.spool_of(name, settings, tmp_path / "state.db") for name in names]
    folders = [spool.folder for spool in spools if spool is not None]
    assert len(set(folders)) == len(names)
    assert {folder.parent for folder in folders} == {tmp_path / "state.db.spool"}
    assert folders[0].name == "ticks"
    assert catalogue.spool_of("ticks", FileSinkSettings(path=Path("x")), tmp_path / "state.db") is None


def test_a_sinks_module_is_imported_when_one_is_made_and_not_before() -> None:
    program = """
import sys
from pathlib import Path
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.delivery import worker
from pricestreamd.sinks.settings import FileSinkSettings
own = {module.partition(":")[0] for module in catalogue._SINKS.values()}
assert len(own) == len(catalogue.TYPES)
of_sinks = own | {"sqlite3", "aiohttp", "redis", "asyncpg", "nats", "apprise"}
print(sorted(of_sinks & set(sys.modules)))
catalogue.create("x", FileSinkSettings(path=Path("x")))
print(sorted(of_sinks & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['pricestreamd.sinks.file']"]
