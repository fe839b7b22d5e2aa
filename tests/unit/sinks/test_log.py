"""The sink `log`."""

import json
import logging
from typing import Any

import pytest

from pricestreamd.model.events import CustomEvent, Event, PriceAlert, PriceError
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


def listener_failed(number: int, listener: str, text: str = "boom", severity: str = "warning") -> PriceError:
    message = f"listener {listener} failed on price.update: ValueError({text!r})"
    return PriceError(
        run="run",
        number=number,
        timestamp=BEGIN,
        severity=severity,  # type: ignore[arg-type]
        error="listener_failed",
        message=message,
    )


async def test_an_error_that_repeats_is_written_once_a_minute_with_the_number_held_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    sink = LogSink("log", LogSinkSettings(), clock=lambda: now[0])
    caplog.set_level(logging.INFO, "pricestreamd.events")
    for second in range(121):
        now[0] = float(second)
        await sink.deliver([listener_failed(n, "app:on_tick", f"tick {second}.{n}") for n in range(250)])
    assert [vars(record).get("suppressed") for record in caplog.records] == [None, 14_999, 14_999]


async def test_errors_are_told_apart_by_what_fails_and_how_badly_and_alerts_are_never_held_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    different: list[Event] = [
        listener_failed(1, "app:one"),
        listener_failed(2, "app:two"),
        listener_failed(3, "app:two", severity="critical"),
        error(symbol="AAPL"),
        error(symbol="MSFT"),
        error(),
        alert(1),
        alert(2),
    ]
    records = await logged(caplog, *different, *different)
    assert [vars(record)["id"] for record in records] == [
        event.id for event in [*different, *(each for each in different if isinstance(each, PriceAlert))]
    ]


async def test_what_a_human_must_end_is_written_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    sink = LogSink("log", LogSinkSettings(), clock=lambda: now[0])
    refused = PriceError("run", 1, BEGIN, severity="critical", error="auth", message="no", feed="us", fatal=True)
    for quarter in range(9):
        now[0] = quarter * 900.0
        await sink.deliver([refused])
    assert [vars(record).get("suppressed") for record in caplog.records] == [None, 3, 3]


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
