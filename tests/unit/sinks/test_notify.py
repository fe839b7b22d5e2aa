"""The sink that tells people, against a real mail server and a real HTTP endpoint. Its clock is moved by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from msgspec import structs

from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import PriceAlert
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.not_yet import Counted, NotYet
from pricestreamd.sinks.notify.apprise_library import address_fault
from pricestreamd.sinks.notify.repeats import MOST_OF_STORM
from pricestreamd.sinks.notify.sink import NotifySink
from pricestreamd.sinks.settings import NotifySinkSettings
from tests.support.people import HandClock, Mailbox
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually
from tests.unit.sinks.samples import BEGIN, alert, error

START = BEGIN + 1


def json_address(receiver: Receiver) -> str:
    return f"json://127.0.0.1:{receiver.port}/path-secret-x7Qz9"


def texts(receiver: Receiver) -> list[str]:
    """What has arrived there, one text a message."""
    return [json.loads(received["raw"])["message"] for received in receiver.accepted]


def crossing(key: str, symbol: str = "AAPL", at: float = START) -> PriceAlert:
    text = f"{symbol} 200.35 crossed above 200.00"
    return structs.replace(alert(1, symbol), firing_id=key, timestamp=at, alert_text=text)


def made(clock: HandClock, *urls: str, deadline: float = 20.0, **settings: Any) -> NotifySink:
    return NotifySink(
        "phone",
        NotifySinkSettings(urls=tuple(map(Secret, urls)), **settings),
        clock=clock,
        wall=clock,
        deadline=deadline,
        storm=lambda alert: "storm" in alert.firing_id,
    )


async def tell(sink: NotifySink, clock: HandClock, event: PriceAlert) -> None:
    """As the outbox lane does: ask again when the sink says so, without the time in between."""
    while True:
        try:
            await sink.deliver_in_turn(event)
        except NotYet as later:
            clock.now += later.seconds
        else:
            return


async def put_off(sink: NotifySink, event: PriceAlert) -> float:
    with pytest.raises(NotYet) as raised:
        await sink.deliver_in_turn(event)
    return raised.value.seconds


@pytest.fixture
def clock() -> HandClock:
    return HandClock(START)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def away(_request: web.Request, _received: Received) -> web.StreamResponse:
    return web.Response(status=503)


async def test_an_alert_arrives_by_mail_and_over_http(clock: HandClock, receiver: Receiver) -> None:
    with Mailbox() as mailbox:
        sink = made(clock, mailbox.address, json_address(receiver))
        await tell(sink, clock, crossing("abcdef0123"))
        await sink.close()
    assert mailbox.mails == [("AAPL 200.35", "AAPL 200.35 crossed above 200.00 [abcdef]")]
    assert texts(receiver) == ["AAPL 200.35 crossed above 200.00 [abcdef]"]


async def test_an_address_that_fails_is_tried_again_alone(clock: HandClock, receiver: Receiver) -> None:
    async with Receiver() as other:
        sink = made(clock, json_address(other), json_address(receiver))
        other.answer = away
        for _ in range(3):
            with pytest.raises(SinkError, match=r"^urls\[0\]: answered 503$"):
                await tell(sink, clock, crossing("a"))
            clock.now += 5
        assert (len(other.requests), len(texts(receiver))) == (3, 1)
        other.answer = accepting
        await tell(sink, clock, crossing("a"))
        await tell(sink, clock, crossing("a"))
        assert (len(texts(other)), len(texts(receiver))) == (1, 1)
        await sink.close()


async def test_a_mail_server_that_refuses_or_is_away_is_tried_again(clock: HandClock) -> None:
    with Mailbox() as mailbox:
        mailbox.answer = "451 try later"
        # Apprise leaves seconds between two mails of one sink.
        refused, away, told = (made(clock, mailbox.address) for _ in range(3))
        with pytest.raises(SinkError, match=r"^urls\[0\]: did not take the message$"):
            await tell(refused, clock, crossing("a"))
        mailbox.stop()
        with pytest.raises(SinkError, match=r"^urls\[0\]: "):
            await tell(away, clock, crossing("a"))
        mailbox.answer = "250 OK"
        mailbox.start()
        await tell(told, clock, crossing("a"))
        for sink in (refused, away, told):
            await sink.close()
        assert [title for title, _ in mailbox.mails] == ["AAPL 200.35"]


async def test_a_service_that_was_away_gets_what_waited_in_one_message(clock: HandClock, receiver: Receiver) -> None:
    sink = made(clock, json_address(receiver))
    receiver.answer = away
    for key, symbol in (("a", "AAPL"), ("b", "MSFT"), ("c", "MSFT")):
        with pytest.raises(SinkError, match=r"^urls\[0\]: answered 503$"):
            await tell(sink, clock, crossing(key, symbol))
        clock.now += 5
    receiver.answer = accepting
    await tell(sink, clock, crossing("b", "MSFT"))
    assert texts(receiver) == [
        "AAPL 200.35 crossed above 200.00 [a]\nMSFT 200.35 crossed above 200.00 [c] (and 1 more before it)"
    ]
    for key in "abc":
        await sink.deliver_in_turn(crossing(key))
    assert len(texts(receiver)) == 1
    await sink.close()


async def accepting(_request: web.Request, _received: Received) -> web.StreamResponse:
    return web.Response(text="thanks")


async def test_within_repeat_after_there_is_one_message_and_one_summary_at_its_end(
    clock: HandClock, receiver: Receiver
) -> None:
    sink = made(clock, json_address(receiver), repeat_after=900.0)
    await tell(sink, clock, crossing("a"))
    began = clock.now
    assert await put_off(sink, crossing("b")) == pytest.approx(900.0)
    clock.now += 300
    assert await put_off(sink, crossing("c", at=START + 300)) == pytest.approx(600.0)
    assert len(texts(receiver)) == 1
    clock.now = began + 900.001
    await sink.deliver_in_turn(crossing("b"))
    await sink.deliver_in_turn(crossing("c", at=START + 300))
    assert texts(receiver)[1:] == ["2 more crossings, the last: AAPL 200.35 crossed above 200.00 [c]"]
    await sink.close()


async def test_a_burst_is_one_message(clock: HandClock, receiver: Receiver) -> None:
    sink = made(clock, json_address(receiver))
    burst = [crossing(f"k{number}", f"S{number}") for number in range(5)]
    for event in burst:
        assert await put_off(sink, event) == pytest.approx(0.2)
    clock.now += 0.201
    for event in burst:
        await sink.deliver_in_turn(event)
    (text,) = texts(receiver)
    assert [line.split()[0] for line in text.splitlines()] == ["S0", "S1", "S2", "S3", "S4"]
    await sink.close()


async def test_in_a_storm_firings_leave_by_the_message_of_the_first_with_their_number(
    clock: HandClock, receiver: Receiver
) -> None:
    sink = made(clock, json_address(receiver))
    await put_off(sink, crossing("first"))
    for number in range(100):
        await put_off(sink, crossing(f"storm-{number}"))
    await tell(sink, clock, crossing("first"))
    assert texts(receiver) == ["AAPL 200.35 crossed above 200.00 [storm-] (and 100 more before it)"]
    for number in range(100):
        assert not await sink.deliver_in_turn(crossing(f"storm-{number}")), "it was not tried for this one"
    assert len(texts(receiver)) == 1
    await sink.close()


async def test_in_a_storm_a_service_that_is_away_is_tried_by_few_and_those_that_ride_try_for_themselves_later(
    clock: HandClock, receiver: Receiver
) -> None:
    sink = made(clock, json_address(receiver))
    receiver.answer = away
    with pytest.raises(SinkError, match="answered 503"):
        await tell(sink, clock, crossing("first"))
    for number in range(20):
        clock.now += 1
        assert await put_off(sink, crossing(f"storm-{number}")) == pytest.approx(29.0 - number)
    assert len(receiver.requests) == 1
    # The first one may have been given up meanwhile.
    clock.now += 10
    with pytest.raises(SinkError, match="answered 503"):
        await sink.deliver_in_turn(crossing("storm-0"))
    assert await put_off(sink, crossing("storm-1")) == pytest.approx(30.0)
    assert len(receiver.requests) == 2
    receiver.answer = accepting
    clock.now += 30
    assert await sink.deliver_in_turn(crossing("storm-1"))
    assert texts(receiver) == ["AAPL 200.35 crossed above 200.00 [storm-] (and 20 more before it)"]
    await sink.close()


async def test_beyond_what_may_wait_a_storm_is_only_counted_and_a_count_that_is_lost_is_told_of_once(
    clock: HandClock, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    sink = made(clock, json_address(receiver))
    for number in range(MOST_OF_STORM):
        await put_off(sink, crossing(f"storm-{number}"))
    for number in range(3):
        with pytest.raises(Counted, match=r"^counted for the next message$"):
            await sink.deliver_in_turn(crossing(f"storm-more-{number}"))
    await sink.close()
    await sink.close()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("pricestreamd")]
    assert said == [
        "sink phone: 3 alerts were only counted for messages that have not left: they are in no later message"
    ]
    await tell(sink, clock, crossing("storm-0"))
    assert texts(receiver) == [f"AAPL 200.35 crossed above 200.00 [storm-] (and {MOST_OF_STORM + 2} more before it)"]
    await sink.close()
    assert len([record for record in caplog.records if record.name.startswith("pricestreamd")]) == 1


async def test_an_old_alert_says_how_late_it_is(clock: HandClock, receiver: Receiver) -> None:
    sink = made(clock, json_address(receiver), max_age=3600.0)
    clock.now = START + 7500
    await tell(sink, clock, crossing("a"))
    assert texts(receiver) == ["LATE by 2 h 5 min: AAPL 200.35 crossed above 200.00 [a]"]
    assert json.loads(receiver.accepted[0]["raw"])["title"] == "LATE: AAPL 200.35"
    await sink.close()


async def test_a_template_writes_the_text(clock: HandClock, receiver: Receiver) -> None:
    sink = made(clock, json_address(receiver), templates={"price.alert": "{symbol} at {price}!"})
    await tell(sink, clock, crossing("a"))
    assert texts(receiver) == ["AAPL at 200.35!"]
    await sink.close()


async def test_other_events_leave_at_once_together_and_each_once(clock: HandClock, receiver: Receiver) -> None:
    sink = made(clock, json_address(receiver))
    receiver.answer = away
    with pytest.raises(SinkError, match="answered 503"):
        await sink.deliver([error(1), error(2)])
    receiver.answer = accepting
    await sink.deliver([error(1), error(2)])
    await sink.deliver([error(2), error(3)])
    assert [len(text.splitlines()) for text in texts(receiver)] == [2, 1]
    await sink.deliver([])
    await sink.close()


async def test_a_replay_hands_alerts_in_batches_which_leave_as_they_come(clock: HandClock, receiver: Receiver) -> None:
    sink = made(clock, json_address(receiver))
    await sink.deliver([crossing("a"), crossing("b")])
    await sink.deliver([crossing("c")])
    assert [len(text.splitlines()) for text in texts(receiver)] == [2, 1]
    await sink.close()


@contextlib.asynccontextmanager
async def hanging(receiver: Receiver) -> AsyncIterator[asyncio.Event]:
    """It takes requests, and answers when the event is set."""
    go = asyncio.Event()

    async def answer(request: web.Request, received: Received) -> web.StreamResponse:
        await go.wait()
        return await accepting(request, received)

    receiver.answer = answer
    try:
        yield go
    finally:
        go.set()


async def test_an_address_that_hangs_holds_up_neither_the_other_one_nor_the_loop(
    clock: HandClock, receiver: Receiver
) -> None:
    async with Receiver() as slow, hanging(slow) as go:
        sink = made(clock, f"{json_address(slow)}?rto=30", json_address(receiver), deadline=0.3)
        with pytest.raises(SinkError, match=r"^urls\[0\]: not taken within 0.3 s$"):
            await tell(sink, clock, crossing("a"))
        assert len(texts(receiver)) == 1
        clock.now += 5
        # A fresh alert reaches the address that works, and nothing is begun beside what hangs.
        with pytest.raises(SinkError, match=r"^urls\[0\]: a message has not arrived after "):
            await tell(sink, clock, crossing("b", "MSFT"))
        assert len(texts(receiver)) == 2
        assert len(slow.requests) == 1
        go.set()
        await eventually(lambda: len(slow.accepted) == 1)
        await tell(sink, clock, crossing("b", "MSFT"))
        await tell(sink, clock, crossing("a"))
        # What arrived late counts: it is not sent again.
        assert texts(slow) == ["AAPL 200.35 crossed above 200.00 [a]", "MSFT 200.35 crossed above 200.00 [b]"]
        assert len(texts(receiver)) == 2
        await sink.close()


async def test_a_message_that_never_ends_is_left_to_itself_in_the_end(clock: HandClock) -> None:
    async with Receiver() as slow, hanging(slow):
        sink = made(clock, f"{json_address(slow)}?rto=30", deadline=0.1)
        with pytest.raises(SinkError, match="not taken within"):
            await tell(sink, clock, crossing("a"))
        clock.now += 301
        slow.answer = accepting
        await tell(sink, clock, crossing("a"))
        assert len(slow.accepted) == 1
        await sink.close()


async def test_a_delivery_that_is_cancelled_goes_on_and_is_not_made_twice(clock: HandClock, receiver: Receiver) -> None:
    async with hanging(receiver) as go:
        sink = made(clock, f"{json_address(receiver)}?rto=30")
        delivery = asyncio.create_task(tell(sink, clock, crossing("a")))
        await eventually(lambda: receiver.requests)
        delivery.cancel()
        await asyncio.wait([delivery])
        go.set()
        await eventually(lambda: receiver.accepted)
        await eventually(lambda: sink._addresses[0].repeats.told("a"))
        await sink.deliver_in_turn(crossing("a"))
        assert len(receiver.requests) == 1
        await sink.close()


async def test_closing_does_not_wait_for_what_hangs_and_the_sink_opens_again(
    clock: HandClock, receiver: Receiver
) -> None:
    before = set(threading.enumerate())
    async with Receiver() as slow, hanging(slow):
        sink = made(clock, f"{json_address(slow)}?rto=30")
        delivery = asyncio.create_task(tell(sink, clock, crossing("a")))
        await eventually(lambda: slow.requests)
        async with asyncio.timeout(1):
            await sink.close()
            await sink.close()
        with pytest.raises(SinkError, match="broken off"):
            await delivery
    sink = made(clock, json_address(receiver))
    await sink.open()
    await sink.open()
    await sink.close()
    await sink.open()
    await tell(sink, clock, crossing("a"))
    await sink.close()
    assert len(texts(receiver)) == 1
    await eventually(lambda: not {one for one in threading.enumerate() if "phone" in one.name} - before)


# --- secrets

CANARIES = ("c4n4ryPassW0rd", "c4n4ryT0kenInPath", "c4n4ry.host.test")


@pytest.mark.parametrize(
    "address",
    [
        f"json://user:{CANARIES[0]}@{CANARIES[2]}/{CANARIES[1]}",
        f"mailto://user:{CANARIES[0]}@{CANARIES[2]}?to=me@x.test&name={CANARIES[1]}",
        f"ntfy://user:{CANARIES[0]}@127.0.0.1:1/{CANARIES[1]}",
        f"slack://{CANARIES[0]}/{CANARIES[1]}",
        f"nonsense://{CANARIES[0]}@{CANARIES[2]}/{CANARIES[1]}",
        f"tgram://{CANARIES[0]}/{CANARIES[1]}",
    ],
)
async def test_nothing_of_an_address_is_told_by_us_or_by_the_library(
    address: str, clock: HandClock, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(1)
    sink = made(clock, address)
    said = [str(address_fault(Secret(address, known=False)))]
    with pytest.raises(SinkError) as raised:
        await tell(sink, clock, crossing("a"))
    await sink.close()
    failure: BaseException | None = raised.value
    while failure is not None:
        said.append(repr(failure))
        failure = failure.__cause__ or failure.__context__
    out = capfd.readouterr()
    said += [caplog.text, out.out, out.err, repr(sink.settings)]
    assert [one for one in said for canary in CANARIES if canary in one] == []


def test_the_librarys_log_leads_nowhere() -> None:
    address_fault(Secret("nonsense://x", known=False))
    assert not logging.getLogger("apprise").propagate


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("ntfy://ntfy.example.org/topic", True),
        ("mailto://me:word@example.org", True),
        ("json://127.0.0.1:1/x", True),
        ("nonsense://x", False),
        ("https://example.org/hook", False),
        ("slack://", False),
        ("tgram://abc/", False),
    ],
)
def test_an_address_that_apprise_does_not_understand_is_told_of_with_the_remedy(address: str, good: bool) -> None:
    fault = address_fault(Secret(address, known=False))
    expected = "Apprise does not understand this address; how each service is written: https://appriseit.com/services/"
    assert fault == (None if good else expected)


def test_a_broken_template_is_refused_when_the_sink_is_made() -> None:
    with pytest.raises(SinkError, match=r"template of price\.alert: price\.alert has no field symbl") as raised:
        made(HandClock(0.0), "json://x", templates={"price.alert": "{symbl}"})
    assert not raised.value.transient


def test_the_library_is_imported_by_the_first_use_and_not_before() -> None:
    program = """
import sys
from pricestreamd.model.secret import Secret
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.settings import NotifySinkSettings
catalogue.create("phone", NotifySinkSettings(urls=(Secret("ntfy://x/y"),)))
print("apprise" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_without_the_library_the_remedy_is_named() -> None:
    program = """
import sys
sys.modules["apprise"] = None
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.notify.apprise_library import address_fault
print(address_fault(Secret("ntfy://x/y")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "the library apprise is missing: pip install pricestreamd[notify]"
