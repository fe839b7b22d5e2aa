"""The sink `log`."""

import json
import logging
from typing import Any

import pytest

from pricestreamd.model.events import CustomEvent, Event
from pricestreamd.sinks.log import LogSink
from pricestreamd.sinks.settings import LogSinkSettings
from tests.unit.sinks.samples import BEGIN, alert, connected, custom, error, gap, update


async def logged(caplog: pytest.LogCaptureFixture, *events: Event) -> list[logging.LogRecord]:
    caplog.set_level(logging.DEBUG, "pricestreamd.events")
    sink = LogSink("log", LogSinkSettings())
    await sink.open()
    await sink.deliver(events)
    await sink.close()
    return [record for record in caplog.records if record.name == "pricestreamd.events"]


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (alert(), "WARNING", "AAPL 200.35 crossed above 200.00 at 09:31:02 New York"),
        (error(severity="info"), "INFO", "the key was refused"),
        (error(severity="warning"), "WARNING", "the key was refused"),
        (error(severity="critical"), "ERROR", "the key was refused"),
        (update(), "INFO", "price.update AAPL 200.35 us-stocks"),
        (connected(), "INFO", "feed.connected us-stocks"),
        (gap("AAPL"), "INFO", "price.gap us-stocks reset"),
        (custom(answer=42), "INFO", "my.signal"),
    ],
)
async def test_each_event_is_one_record_at_its_level_with_its_text(
    caplog: pytest.LogCaptureFixture, event: Event, level: str, text: str
) -> None:
    (record,) = await logged(caplog, event)
    assert (record.levelname, record.getMessage()) == (level, text)


async def test_the_fields_of_an_event_are_fields_of_the_record(caplog: pytest.LogCaptureFixture) -> None:
    (record,) = await logged(caplog, alert())
    fields = vars(record)
    for key, value in alert().to_dict().items():
        assert fields[key] == value


async def test_a_field_that_the_record_keeps_for_itself_gets_a_prefix(caplog: pytest.LogCaptureFixture) -> None:
    hostile: dict[str, Any] = {"name": "x", "args": (1,), "message": "m", "exc_info": 1, "levelno": 50, "answer": 42}
    (record,) = await logged(caplog, CustomEvent("run", 1, BEGIN, "my.signal", hostile))
    fields = vars(record)
    assert record.name == "pricestreamd.events"
    assert fields["answer"] == 42
    assert all(fields[f"event_{key}"] == value for key, value in hostile.items() if key != "answer")


async def test_text_of_a_provider_is_never_a_format(caplog: pytest.LogCaptureFixture) -> None:
    (record,) = await logged(caplog, update(symbol="%s%d%(x)s"))
    assert record.getMessage() == "price.update %s%d%(x)s 200.35 us-stocks"


async def test_a_json_formatter_can_print_every_record(caplog: pytest.LogCaptureFixture) -> None:
    events = [alert(), error(), update(), gap("A", "B"), connected(), custom(a=1)]
    for record in await logged(caplog, *events):
        json.dumps(vars(record), default=str)


async def test_a_level_that_nobody_sees_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "pricestreamd.events")
    await LogSink("log", LogSinkSettings()).deliver([alert(), update()])
    assert caplog.records == []
