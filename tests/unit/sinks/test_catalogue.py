"""Which sinks there are."""

import subprocess
import sys
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
    RedisSinkSettings,
    SqliteSinkSettings,
    WebhookSinkSettings,
)
from pricestreamd.sinks.sqlite import SqliteSink
from pricestreamd.sinks.webhook import WebhookSink


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


def test_the_catalogue_knows_what_is_built_and_what_is_not() -> None:
    assert [kind for kind in catalogue.TYPES if catalogue.built(kind)] == ["log", "file", "sqlite", "webhook", "call"]
    assert catalogue.NOT_BUILT == ("postgres", "redis", "nats", "notify")
    assert not catalogue.built("carrier pigeon")


def test_what_is_not_built_cannot_be_made() -> None:
    with pytest.raises(LookupError, match="redis"):
        catalogue.create("cache", RedisSinkSettings(url=Secret("redis://127.0.0.1:6379/0")))


def test_a_sinks_module_is_imported_when_one_is_made_and_not_before() -> None:
    program = """
import sys
from pathlib import Path
from pricestreamd.sinks import catalogue, worker
from pricestreamd.sinks.settings import FileSinkSettings
of_sinks = {f"pricestreamd.sinks.{name}" for name in ("log", "file", "sqlite", "webhook", "call")} | {"sqlite3", "aiohttp"}
print(sorted(of_sinks & set(sys.modules)))
catalogue.create("x", FileSinkSettings(path=Path("x")))
print(sorted(of_sinks & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['pricestreamd.sinks.file']"]
