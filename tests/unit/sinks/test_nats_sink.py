"""The sink `nats`, against a real server."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.errors import SinkError
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.nats.sink import NatsSink, subject_of
from pricestreamd.sinks.settings import NatsSinkSettings
from tests.support.nats_server import PASSWORD, NatsServer
from tests.support.relay import Relay
from tests.unit.sinks.samples import alert, connected, custom, error, gap, update, updates

_prefixes = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with NatsServer() as running:
        yield running


@pytest.fixture
def prefix() -> str:
    return f"p{next(_prefixes)}"


def sink_of(url: str, prefix: str, **more: Any) -> NatsSink:
    return NatsSink("bus", NatsSinkSettings(url=Secret(url), prefix=prefix), **more)


@pytest.fixture
async def sink(server: NatsServer, prefix: str) -> AsyncIterator[NatsSink]:
    server.add_stream(prefix)
    made = sink_of(server.url, prefix)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        (update(1, "AAPL"), "price.update.AAPL"),
        (update(1, "BTC/USD"), "price.update.BTC=2FUSD"),
        (update(1, "BRK.B"), "price.update.BRK=2EB"),
        (update(1, "a-b_C9"), "price.update.a-b_C9"),
        (update(1, "É >*"), "price.update.=C3=89=20=3E=2A"),
        (update(1, "="), "price.update.=3D"),
        (update(1, ""), "price.update.="),
        (alert(), "price.alert.AAPL"),
        (error(), "price.error.="),
        (error(symbol="AAPL"), "price.error.AAPL"),
        (gap("AAPL", "MSFT"), "price.gap.="),
        (connected(), "feed.connected.="),
        (custom("my.signal", symbol="X Y"), "my.signal.X=20Y"),
        (custom("my signal..>", symbol=7), "my=20signal.=.=3E.="),
    ],
)
def test_the_subject_tells_event_and_symbol(event: Any, subject: str) -> None:
    assert subject_of(event) == subject


@given(st.text(), st.text())
def test_a_subject_is_always_one_that_nats_takes_and_tells_its_symbol(symbol: str, other: str) -> None:
    subject = subject_of(update(1, symbol))
    family, name, token = subject.split(".")
    assert (family, name) == ("price", "update")
    assert token
    assert not set(token) & set(" \t\r\n*>")
    assert (subject == subject_of(update(1, other))) == (symbol == other)


async def test_an_event_is_a_message_with_its_id_and_the_json_of_every_other_wire(
    sink: NatsSink, server: NatsServer, prefix: str
) -> None:
    events = [update(1, "BTC/USD"), alert(2)]
    await sink.deliver(events)
    kept = server.messages(prefix)
    assert [json.loads(message.body) for message in kept] == [event.to_dict() for event in events]
    assert [message.id for message in kept] == ["run-1", "0123456789abcdef"]
    assert [message.subject for message in kept] == [f"{prefix}.price.update.BTC=2FUSD", f"{prefix}.price.alert.AAPL"]


async def test_a_batch_that_comes_again_within_the_window_adds_nothing(
    sink: NatsSink, server: NatsServer, prefix: str
) -> None:
    batch = updates(2500)
    await sink.deliver(batch)
    await sink.deliver(batch)
    assert [message.id for message in server.messages(prefix)] == [event.id for event in batch]


async def test_without_a_stream_it_says_how_to_make_one(server: NatsServer, prefix: str) -> None:
    sink = sink_of(server.url, prefix)
    for attempt in (sink.open, lambda: sink.deliver([update()])):
        with pytest.raises(SinkError, match=rf"no stream takes {prefix}\..*nats stream add") as caught:
            await attempt()
        assert caught.value.transient
    server.add_stream(prefix)
    await sink.open()
    await sink.deliver([update()])
    await sink.close()
    assert len(server.messages(prefix)) == 1


async def test_without_jetstream_it_says_so(prefix: str) -> None:
    with NatsServer(jetstream=False) as server:
        sink = sink_of(server.url, prefix)
        with pytest.raises(SinkError, match="JetStream is not enabled there: start the server with -js"):
            await sink.open()
        with pytest.raises(SinkError, match="no stream takes"):
            await sink.deliver([update()])
        await sink.close()


async def test_what_was_acknowledged_of_a_failed_batch_is_not_sent_again(server: NatsServer, prefix: str) -> None:
    # A window so short that the server would take everything again.
    server.add_stream(prefix, max_msgs=3, discard="new", duplicate_window=0.1)
    sink = sink_of(server.url, prefix)
    with pytest.raises(SinkError, match="maximum messages") as caught:
        await sink.deliver(updates(5))
    assert caught.value.transient
    await asyncio.sleep(0.2)  # the window itself, which is the server's clock
    server.change_stream(prefix, max_msgs=100, discard="new", duplicate_window=0.1)
    await sink.deliver(updates(5))
    assert [message.id for message in server.messages(prefix)] == [event.id for event in updates(5)]
    assert sink._acked == {}
    await sink.close()


async def test_what_was_acknowledged_of_batches_that_were_given_up_is_forgotten_in_time(
    server: NatsServer, prefix: str
) -> None:
    sink = sink_of(server.url, prefix)
    sink._acked = {f"old-{number}": None for number in range(10_000)}
    server.add_stream(prefix, max_msgs=3, discard="new")
    with pytest.raises(SinkError):
        await sink.deliver(updates(5))
    assert len(sink._acked) == 10_000
    assert list(sink._acked)[-3:] == ["run-1", "run-2", "run-3"]
    await sink.close()


async def test_an_event_that_is_too_large_is_refused_and_the_others_are_taken(server: NatsServer, prefix: str) -> None:
    server.add_stream(prefix, max_msg_size=2000)
    sink = sink_of(server.url, prefix)
    for size in (3000, 2_000_000):
        large = custom("my.large", symbol=str(size), text="x" * size)
        with pytest.raises(SinkError, match=r"larger than|message size") as caught:
            await sink.deliver([update(size), large, update(size + 1)])
        assert not caught.value.transient
        await sink.deliver([update(size), update(size + 1)])
    await sink.close()
    assert len(server.messages(prefix)) == 4


async def test_an_event_without_a_form_is_refused(sink: NatsSink) -> None:
    with pytest.raises(SinkError, match="no form in JSON") as caught:
        await sink.deliver([custom(thing=object())])
    assert not caught.value.transient


async def test_a_wrong_password_is_told_with_the_remedy_and_without_the_password(prefix: str) -> None:
    with NatsServer(user="us/er") as server:
        server.add_stream(prefix)
        for login in ("", "us%2Fer:wrong-one@", "wrong-token@"):
            sink = sink_of(server.url.replace("//", f"//{login}"), prefix)
            with pytest.raises(SinkError, match="set user and password, or a token") as caught:
                await sink.open()
            assert caught.value.transient
            assert caught.value.retry_after == 60
            assert "wrong" not in str(caught.value)
        right = sink_of(server.url.replace("//", f"//us%2Fer:{quote(PASSWORD, safe='')}@"), prefix)
        await right.deliver([update()])
        await right.close()
        assert len(server.messages(prefix)) == 1


async def test_a_missing_permission_is_told_with_the_remedy(prefix: str) -> None:
    users = '{users: [{user: u, password: p, permissions: {publish: ["_INBOX.>"], subscribe: ["_INBOX.>"]}}]}'
    with NatsServer(f"authorization {users}") as server:
        sink = sink_of(server.url.replace("//", "//u:p@"), prefix)
        began = time.monotonic()
        with pytest.raises(SinkError, match="let its user publish there") as caught:
            await sink.deliver(updates(3))
        assert caught.value.retry_after == 60
        assert time.monotonic() - began < 2
        await sink.close()


async def test_where_tls_was_asked_for_nothing_is_said_in_clear(server: NatsServer, prefix: str) -> None:
    server.add_stream(prefix)
    for login in ("", "user:canary-word@"):
        sink = sink_of(server.url.replace("nats://", f"tls://{login}"), prefix)
        for _ in range(2):
            with pytest.raises(SinkError, match="does not speak TLS"):
                await sink.deliver([update()])
        await sink.close()
    assert server.messages(prefix) == []
    assert "canary-word" not in (server.folder / "log").read_text()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:4222", "nats://", "nats://127.0.0.1:port"])
def test_an_address_that_cannot_be_used_is_told_of_when_the_sink_is_made(url: str) -> None:
    with pytest.raises(SinkError, match="sink bus: its address cannot be used") as caught:
        sink_of(url, "p")
    assert not caught.value.transient


@pytest.mark.parametrize("prefix", ["", "a..b", "a b", "*", "a.>", ".a", "é"])
def test_a_prefix_that_is_no_subject_is_told_of_when_the_sink_is_made(prefix: str) -> None:
    with pytest.raises(SinkError, match="its prefix must be"):
        sink_of("nats://127.0.0.1", prefix)


async def test_of_several_servers_one_that_is_there_is_enough(server: NatsServer, prefix: str) -> None:
    server.add_stream(prefix)
    for _ in range(4):  # the library tries them in an order of chance
        sink = sink_of(f"nats://127.0.0.1:1, {server.url}", prefix)
        await sink.deliver([update()])
        await sink.close()
    assert len(server.messages(prefix)) == 1


async def test_an_idle_connection_that_was_closed_is_made_anew_at_once(
    sink: NatsSink, server: NatsServer, prefix: str
) -> None:
    await sink.deliver([update(1)])
    server.kill()
    server.start()
    await sink.deliver([update(2)])
    assert [message.id for message in server.messages(prefix)] == ["run-1", "run-2"]


@pytest.mark.parametrize("connected_before", [True, False])
async def test_a_frozen_server_is_given_up_at_the_deadline(
    server: NatsServer, prefix: str, connected_before: bool
) -> None:
    server.add_stream(prefix)
    sink = sink_of(server.url, prefix, deadline=0.3)
    if connected_before:
        await sink.open()
    tasks = asyncio.all_tasks()
    server.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(SinkError, match="no answer") as caught:
            await sink.deliver(updates(3000))
        assert caught.value.transient
        delivery = asyncio.create_task(sink.deliver(updates(3000)))
        await asyncio.sleep(0.05)
        delivery.cancel()
        await asyncio.wait([delivery])
        await sink.close()
        assert time.monotonic() - began < 1.5
        assert asyncio.all_tasks() <= tasks
    finally:
        server.thaw()
    again = sink_of(server.url, prefix)
    await again.deliver(updates(3000))
    await again.close()
    found = Counter(message.id for message in server.messages(prefix))
    assert found == Counter(event.id for event in updates(3000))


async def test_an_answer_that_is_none_of_jetstream_is_no_acknowledgement(server: NatsServer, prefix: str) -> None:
    """Somebody answers on the subject, and nothing is kept."""
    sink = sink_of(server.url, prefix)
    answers = [b"", b"{}", b"null", b'{"stream": "x"}', b"{" * 5000, b"\xff"]
    async with server.answering(f"{prefix}.>", answers):
        with pytest.raises(SinkError, match="none of JetStream"):
            await sink.deliver(updates(6))
    assert sink._acked == {}
    await sink.close()


async def test_answers_that_come_late_are_left_alone(server: NatsServer, prefix: str) -> None:
    server.add_stream(prefix)
    async with Relay(server.port) as relay:
        sink = sink_of(f"nats://127.0.0.1:{relay.port}", prefix, deadline=0.3)
        await sink.deliver([update(1)])
        relay.hold(answers=True)
        with pytest.raises(SinkError, match="no answer"):
            await sink.deliver(updates(5, first=2))
        relay.release()
        await sink.deliver(updates(5, first=2))
        await sink.close()
    assert [message.id for message in server.messages(prefix)] == [event.id for event in updates(6)]
