"""What a person reads."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pricestreamd.model.events import EVENTS, CustomEvent, Event, PriceGap
from pricestreamd.sinks.notify.repeats import Crossings
from pricestreamd.sinks.notify.templates import TEMPLATES, rendered, safe, template_fault
from pricestreamd.sinks.notify.texts import MOST_LINES, MOST_TITLE, Texts, span
from tests.unit.sinks.samples import BEGIN, alert, alert_named, connected, custom, error, gap, update

NOW = BEGIN + 2
TEXTS = Texts({}, max_age=3600.0)


def one(newest: object = None, count: int = 1, *, again: bool = False) -> Crossings:
    return Crossings(newest or alert(), count, again)  # type: ignore[arg-type]


def test_an_alert_says_symbol_price_what_was_crossed_when_and_the_beginning_of_its_id() -> None:
    message = TEXTS.of_crossings([one()], NOW)
    assert message.title == "AAPL 200.35"
    assert message.body == "AAPL 200.35 crossed above 200.00 at 09:31:02 New York [012345]"


@pytest.mark.parametrize(
    ("found", "body"),
    [
        (one(count=3), "AAPL ... [012345] (and 2 more before it)"),
        (one(count=1, again=True), "1 more crossing: AAPL ... [012345]"),
        (one(count=4, again=True), "4 more crossings, the last: AAPL ... [012345]"),
    ],
)
def test_a_message_says_how_many_crossings_it_stands_for(found: Crossings, body: str) -> None:
    text = "AAPL 200.35 crossed above 200.00 at 09:31:02 New York"
    assert TEXTS.of_crossings([found], NOW).body == body.replace("AAPL ...", text)


def test_several_alerts_are_one_message_with_a_line_each_and_their_number() -> None:
    message = TEXTS.of_crossings([one(), one(alert(2, "MSFT"), 2)], NOW)
    assert message.title == "3 alerts: AAPL, MSFT"
    assert [line.split()[0] for line in message.body.splitlines()] == ["AAPL", "MSFT"]


def test_a_message_of_very_many_alerts_names_what_has_no_line() -> None:
    found = [one(alert(number, f"S{number}")) for number in range(300)]
    message = TEXTS.of_crossings(found, NOW)
    lines = message.body.splitlines()
    assert len(lines) == MOST_LINES + 1
    assert lines[-1].startswith("and 280 more: S20, S21, ")
    assert len(message.title) <= MOST_TITLE
    assert message.title.startswith("300 alerts: S0, S1")
    assert len(message.body) < 7000


def test_what_is_older_than_max_age_is_late_and_says_how_late() -> None:
    at_once, later = TEXTS.of_crossings([one()], NOW + 3590), TEXTS.of_crossings([one()], NOW + 7500)
    assert "LATE" not in at_once.title + at_once.body
    assert later.title == "LATE: AAPL 200.35"
    assert later.body.startswith("LATE by 2 h 5 min: AAPL 200.35 crossed")
    both = TEXTS.of_crossings([one(), one(structs.replace(alert(1, "MSFT"), timestamp=NOW + 7500))], NOW + 7500)
    assert both.title == "LATE: 2 alerts: AAPL, MSFT"
    assert [line.startswith("LATE") for line in both.body.splitlines()] == [True, False]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59.0, "59 s"), (61.0, "1 min"), (3600.0, "1 h 0 min"), (7500.0, "2 h 5 min"), (9e5, "10 d 10 h")],
)
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_an_error_has_its_severity_in_the_title_and_its_time() -> None:
    message = TEXTS.of_events([error()], NOW)
    assert message.title == "CRITICAL: parked"
    assert message.body == "the key was refused (critical, 2023-11-14 22:13:21 UTC)"


EXAMPLES: list[Event] = [update(), alert(), error(), gap("A", "B"), connected(), custom(symbol="X", note="y")]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.event)
def test_every_event_has_a_readable_text(event: Event) -> None:
    message = TEXTS.of_events([event], NOW)
    assert message.title
    assert message.body
    assert "{" not in message.title + message.body


def test_a_template_is_there_for_every_event_and_names_only_fields_that_it_has() -> None:
    assert set(TEMPLATES) == {kind.event for kind in EVENTS}
    assert {event: fault for event, text in TEMPLATES.items() if (fault := template_fault(event, text))} == {}


def test_a_template_of_ones_own_is_used_with_the_fields_of_the_event() -> None:
    texts = Texts({"price.alert": "{symbol}: {price} {{now}} {firing} {volume}\n{time}"}, max_age=3600.0)
    body = texts.of_crossings([one(structs.replace(alert(), price=0.00001234))], NOW).body
    assert body == "AAPL: 0.00001234 {now} 012345 -\n2023-11-14 22:13:21 UTC"


@pytest.mark.parametrize(
    ("event", "template", "fault"),
    [
        ("price.alert", "{symbl}", "price.alert has no field symbl; it has after_gap, alert_baseline, "),
        (
            "price.alert",
            "{symbol",
            "expected '}' before end of string: write {field} for a field, {{ and }} for braces",
        ),
        ("price.alert", "{}", "expected {field} with the name of a field and nothing else"),
        ("price.alert", "{price.real}", "expected {field} with the name of a field and nothing else"),
        ("price.alert", "{price[0]}", "expected {field} with the name of a field and nothing else"),
        ("price.alert", "{price:>99999999}", "expected {field} with the name of a field and nothing else"),
        ("price.alert", "{price!r}", "expected {field} with the name of a field and nothing else"),
        ("price.alert", "{run}", "price.alert has no field run; it has "),
        ("price.gap", "{from_time}", "price.gap has no field from_time; it has "),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_told_of(event: str, template: str, fault: str) -> None:
    assert (template_fault(event, template) or "").startswith(fault)


@pytest.mark.parametrize(
    ("event", "template"),
    [("price.alert", "no field"), ("price.gap", "{from} {to} {symbols}"), ("my.signal", "{whatever} {time}")],
)
def test_a_template_that_can_be_filled_in_is_good(event: str, template: str) -> None:
    assert template_fault(event, template) is None


def test_a_field_that_an_event_of_ones_own_lacks_is_a_dash() -> None:
    assert rendered("{a} {b} {c}", custom(a=1.50, c=True)) == "1.5 - yes"
    event = PriceGap("run", 1, BEGIN, "us", ("A",), BEGIN, BEGIN + 1, "reset")
    assert rendered("{from}", event) == "2023-11-14 22:13:20 UTC"


HOSTILE = "<!channel> @everyone [click](https://evil.test) `x` <b>\x1b[31m\u202eevil\r\nSubject: x\0"


def test_nothing_from_outside_can_mention_link_or_mark_up() -> None:
    text = rendered("{symbol}", structs.replace(alert(), symbol=HOSTILE))
    for forbidden in ("<", ">", "@everyone", "://", "`", "[", "]", "\n", "\r", "\x1b", "\u202e", "\0"):
        assert forbidden not in text
    assert "everyone" in text
    title, body = TEXTS.of_events([CustomEvent("run", 1, BEGIN, "x.y", {"symbol": HOSTILE})], NOW)
    assert not {"\n", "\r", "<", "`"} & set(title + body)
    hostile = structs.replace(alert_named("a" * 9), alert_text=HOSTILE, symbol=HOSTILE)
    assert "@everyone" not in "".join(TEXTS.of_crossings([one(hostile), one(hostile)], NOW))


@given(st.text(max_size=5000))
def test_a_value_is_short_and_printable_whatever_it_is(text: str) -> None:
    shown = safe(text, 100)
    assert len(shown) <= 102 * 2
    assert all(unicodedata.category(one)[0] != "C" or one == "\u2060" for one in shown)
    message = TEXTS.of_events([structs.replace(error(), message=text, error=text)], NOW)
    assert len(message.title) <= MOST_TITLE
    assert len(message.body) <= 1000


def test_a_symbol_stays_as_it_is() -> None:
    for symbol in ("BTC/USD", "^GSPC", "ES=F", "EUR_USD", "RY:TSX", "BRK.B", "600519.SS"):
        assert safe(symbol) == symbol
