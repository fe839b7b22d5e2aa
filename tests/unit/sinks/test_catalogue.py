"""Which sinks there are."""

import subprocess
import sys
from pathlib import Path

import pytest

from pricestreamd.model.secret import Secret
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.file import FileSink
from pricestreamd.sinks.log import LogSink
from pricestreamd.sinks.settings import (
    FileSinkSettings,
    LogSinkSettings,
    RedisSinkSettings,
    SqliteSinkSettings,
)
from pricestreamd.sinks.sqlite import SqliteSink


def test_a_sink_is_made_by_its_type_and_has_its_name() -> None:
    path = Path("somewhere")
    made = [
        catalogue.create("one", LogSinkSettings()),
        catalogue.create("two", FileSinkSettings(path=path)),
        catalogue.create("three", SqliteSinkSettings(path=path)),
    ]
    assert [type(sink) for sink in made] == [LogSink, FileSink, SqliteSink]
    assert [sink.name for sink in made] == ["one", "two", "three"]


def test_the_catalogue_knows_what_is_built_and_what_is_not() -> None:
    assert [kind for kind in catalogue.TYPES if catalogue.built(kind)] == ["log", "file", "sqlite"]
    assert catalogue.NOT_BUILT == ("postgres", "redis", "nats", "webhook", "notify", "call")
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
of_sinks = {"pricestreamd.sinks.log", "pricestreamd.sinks.file", "pricestreamd.sinks.sqlite", "sqlite3"}
print(sorted(of_sinks & set(sys.modules)))
catalogue.create("x", FileSinkSettings(path=Path("x")))
print(sorted(of_sinks & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['pricestreamd.sinks.file']"]
