"""The sink `redis`, against a real server."""

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, TimeoutError  # noqa: A004 - the library's own

from pricestreamd.config.load import load
from pricestreamd.model.errors import SinkError
from pricestreamd.model.secret import Secret
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.delivery.queue import make_queue
from pricestreamd.sinks.redis.link import RedisLink
from pricestreamd.sinks.redis.sink import RedisSink, price_text
from pricestreamd.sinks.settings import (
    ConflatedQueueSettings,
    RedisPubsubSettings,
    RedisSinkSettings,
    RedisStreamSettings,
)
from tests.faults.feeds import Authority
from tests.support.redis_server import PASSWORD, RedisServer, program
from tests.support.relay import Relay
from tests.support.waiting import eventually
from tests.unit.sinks.samples import alert, connected, custom, update, updates


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    running.empty()
    return running


def settings(server: RedisServer, **more: Any) -> RedisSinkSettings:
    return RedisSinkSettings(url=Secret(server.url), **more)


@pytest.fixture
async def sink(server: RedisServer) -> AsyncIterator[RedisSink]:
    made = RedisSink("cache", settings(server))
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (200.35, "200.35"),
        (200.0, "200.0"),
        (1e-05, "0.00001"),
        (1.5e-07, "0.00000015"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e16, "10000000000000000.0"),
        (1.25e22, "12500000000000000000000.0"),
    ],
)
def test_a_price_is_the_shortest_decimal_without_an_exponent(price: float, text: str) -> None:
    assert price_text(price) == text


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
def test_a_price_reads_back_as_the_same_number(price: float) -> None:
    text = price_text(price)
    assert float(text) == price
    assert set(text) <= set("0123456789.")
    assert "." in text


async def test_the_last_price_of_each_symbol_is_a_plain_text_that_expires(sink: RedisSink, server: RedisServer) -> None:
    await sink.deliver(
        [update(1, "AAPL", 199.0), update(2, "BTC/USD", 1e-05), update(3, "AAPL", 200.35), update(4, "É", 3.0)]
    )
    assert server.ask("GET", "price:last:AAPL") == "200.35"
    assert server.ask("GET", "price:last:BTC/USD") == "0.00001"
    assert server.ask("GET", "price:last:É") == "3.0"
    assert server.ask("TTL", "price:last:AAPL") in (299, 300)
    assert server.ask("DBSIZE") == 3


async def test_prefix_and_ttl_are_as_set(server: RedisServer) -> None:
    sink = RedisSink("cache", settings(server, prefix="my:", ttl=2.5))
    await sink.deliver([update()])
    await sink.close()
    assert server.ask("GET", "my:last:AAPL") == "200.35"
    assert server.ask("TTL", "my:last:AAPL") in (2, 3)


async def test_what_comes_late_never_replaces_a_newer_price(sink: RedisSink, server: RedisServer) -> None:
    await sink.deliver([update(7, price=7.0)])
    await sink.deliver([update(5, price=5.0), update(6, "MSFT", 6.0)])
    assert server.ask("GET", "price:last:AAPL") == "7.0"
    assert server.ask("GET", "price:last:MSFT") == "6.0"


async def test_the_order_is_ours_and_no_clocks(sink: RedisSink, server: RedisServer) -> None:
    await sink.deliver([update(7, price=7.0)])
    await sink.deliver([structs.replace(update(8, price=8.0), timestamp=1.0, received_at=1.0)])
    assert server.ask("GET", "price:last:AAPL") == "8.0"


async def test_a_price_of_an_earlier_run_never_replaces_one_of_this(sink: RedisSink, server: RedisServer) -> None:
    await sink.deliver([structs.replace(update(1, price=2.0), run="65f0b")])
    await sink.deliver([structs.replace(update(900, price=1.0), run="65f0a")])
    assert server.ask("GET", "price:last:AAPL") == "2.0"


async def test_a_suspect_print_is_no_last_price(sink: RedisSink, server: RedisServer) -> None:
    await sink.deliver([update(1, price=200.0), update(2, price=2.0, suspect=True)])
    assert server.ask("GET", "price:last:AAPL") == "200.0"


async def test_a_suspect_print_takes_no_price_out_of_the_queue(sink: RedisSink, server: RedisServer) -> None:
    queue = make_queue("conflate", 100)
    for event in (update(1, price=199.0), update(2, price=200.0), update(3, price=2.0, suspect=True)):
        queue.put(event)
    await sink.deliver(queue.take(100))
    assert server.ask("GET", "price:last:AAPL") == "200.0"
    assert queue.dropped["conflated"] == 1


async def test_an_alert_that_has_no_place_is_refused_and_is_no_last_price(sink: RedisSink, server: RedisServer) -> None:
    with pytest.raises(SinkError, match="no place for alerts: give it a stream or a channel") as caught:
        await sink.deliver([alert()])
    assert not caught.value.transient
    assert server.ask("DBSIZE") == 0
    assert "price.alert" not in sink.carries


async def test_the_stream_gets_every_event_and_is_kept_short(server: RedisServer) -> None:
    sink = RedisSink("cache", settings(server, stream=RedisStreamSettings(key="events", maxlen=1000)))
    assert sink.carries == ("*",)
    events = [update(1, suspect=True), update(2), alert(3), connected(), custom(symbol="X", note="é")]
    await sink.deliver(events)
    entries: Any = server.ask("XRANGE", "events", "-", "+")
    assert [fields[0] for _, fields in entries] == ["json"] * 5
    assert [json.loads(fields[1]) for _, fields in entries] == [event.to_dict() for event in events]
    assert server.ask("GET", "price:last:AAPL") == "200.35"
    await sink.deliver(updates(5000))
    await sink.close()
    length = server.ask("XLEN", "events")
    assert isinstance(length, int)
    # Redis lets whole blocks go, of a hundred entries as it is set from the start.
    assert 1000 <= length <= 1200


async def test_the_channel_gets_every_event(server: RedisServer) -> None:
    sink = RedisSink("cache", settings(server, pubsub=RedisPubsubSettings(channel="events")))
    client = Redis.from_url(server.url)
    async with client, client.pubsub() as listening:
        await listening.subscribe("events")
        await listening.get_message(timeout=5)
        await sink.deliver([update(1), alert(2)])
        heard = [await listening.get_message(timeout=5) for _ in range(2)]
    await sink.close()
    assert [json.loads(message["data"]) for message in heard if message] == [update(1).to_dict(), alert(2).to_dict()]


def test_what_is_to_get_every_event_is_not_conflated(server: RedisServer) -> None:
    assert settings(server).queue.policy == "conflate"
    for more in ({"stream": RedisStreamSettings(key="x")}, {"pubsub": RedisPubsubSettings(channel="x")}):
        assert settings(server, **more).queue.policy == "drop_oldest"
        own = ConflatedQueueSettings(size=7, policy="drop_newest")
        assert replace(settings(server), queue=own, **more).queue == own


@pytest.mark.parametrize(
    ("more", "policy"),
    [("", "conflate"), (", stream: {key: k}", "drop_oldest"), (", pubsub: {channel: c}", "drop_oldest")],
)
def test_nor_is_it_where_a_file_says_so(tmp_path: Path, more: str, policy: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"sinks: {{cache: {{type: redis, url: 'redis://h'{more}}}}}\n")
    sink = load(path, environ={}, feeds_required=False).settings.sinks["cache"]
    assert sink.queue.policy == policy


async def test_an_event_without_a_form_is_refused(server: RedisServer) -> None:
    sink = RedisSink("cache", settings(server, stream=RedisStreamSettings(key="events")))
    with pytest.raises(SinkError, match="no form in JSON") as caught:
        await sink.deliver([custom(thing=object())])
    assert not caught.value.transient
    await sink.close()


async def test_a_wrong_password_is_told_with_the_remedy_and_tried_again_slowly() -> None:
    with RedisServer("--requirepass", "right") as server:
        for url in (server.url, server.url.replace("//", "//:wrong@")):
            sink = RedisSink("cache", RedisSinkSettings(url=Secret(url)))
            with pytest.raises(SinkError, match="set user and password in its url") as caught:
                await sink.open()
            assert caught.value.transient
            assert caught.value.retry_after == 60
            assert "wrong" not in str(caught.value)
        sink = RedisSink("cache", RedisSinkSettings(url=Secret(server.url.replace("//", "//:right@"))))
        await sink.open()
        await sink.close()


async def test_user_and_password_may_have_any_characters(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "us/er", "on", f">{PASSWORD}", "~*", "+@all")
    url = f"redis://us%2Fer:redis-canary%3A%2F%3F%23%5B%5D%40%251@127.0.0.1:{server.port}/0"
    sink = RedisSink("cache", RedisSinkSettings(url=Secret(url)))
    await sink.deliver([update()])
    await sink.close()
    assert server.ask("GET", "price:last:AAPL") == "200.35"


async def test_a_missing_permission_is_told_with_the_remedy(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "reader", "on", ">pass", "~*", "+@read", "+@connection")
    sink = RedisSink("cache", RedisSinkSettings(url=Secret(server.url.replace("//", "//reader:pass@"))))
    with pytest.raises(SinkError, match=r"setex.*ACL SETUSER") as caught:
        await sink.deliver([update()])
    assert caught.value.transient
    assert caught.value.retry_after == 60
    await sink.close()


async def test_a_key_of_somebody_else_is_told_with_the_remedy(server: RedisServer) -> None:
    server.ask("SET", "events", "a text")
    sink = RedisSink("cache", settings(server, stream=RedisStreamSettings(key="events")))
    with pytest.raises(SinkError, match=r"WRONGTYPE.*choose another") as caught:
        await sink.deliver([update()])
    assert caught.value.retry_after == 60
    await sink.close()


async def test_a_full_server_is_worth_another_attempt(sink: RedisSink, server: RedisServer) -> None:
    await sink.open()
    server.fill()
    with pytest.raises(SinkError, match="maxmemory") as caught:
        await sink.deliver(updates(3))
    assert caught.value.transient
    assert caught.value.retry_after is None
    server.empty()
    await sink.deliver(updates(3))
    assert server.ask("DBSIZE") == 3


async def test_a_server_that_takes_no_more_writes_is_left_for_the_one_that_does(server: RedisServer) -> None:
    with RedisServer() as second:
        async with Relay(server.port) as relay:
            sink = RedisSink("cache", RedisSinkSettings(url=Secret(f"redis://127.0.0.1:{relay.port}/0")))
            await sink.deliver([update(1)])
            server.ask("REPLICAOF", "127.0.0.1", second.port)
            try:
                relay.target = second.port
                with pytest.raises(SinkError, match="read only replica") as caught:
                    await sink.deliver([update(2)])
                assert caught.value.transient
                assert caught.value.retry_after is None
                await sink.deliver([update(3)])
            finally:
                server.ask("REPLICAOF", "NO", "ONE")
            await sink.close()
        assert second.ask("GET", "price:last:AAPL") == "200.35"


async def test_a_cluster_is_told_with_the_remedy() -> None:
    words = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
    with RedisServer(*words) as server, RedisServer(*words) as other:
        sink = RedisSink("cache", settings(server))
        with pytest.raises(SinkError, match=r"slot.*Redis Cluster: name a server that is none") as caught:
            await sink.deliver([update()])
        assert caught.value.retry_after == 60
        other.ask("CLUSTER", "ADDSLOTS", *range(16384))
        other.ask("CLUSTER", "MEET", "127.0.0.1", server.port)
        await eventually(lambda: "cluster_slots_assigned:16384" in str(server.ask("CLUSTER", "INFO")), timeout=20)
        with pytest.raises(SinkError, match="this is a Redis Cluster") as caught:
            await sink.deliver([update()])
        assert caught.value.retry_after == 60
        await sink.close()


class Sentinel(RedisServer):
    def command(self) -> list[str]:
        (self.folder / "sentinel.conf").write_text(f"port {self.port}\nbind 127.0.0.1\n")
        return [str(program()), "sentinel.conf", "--sentinel"]


async def test_a_sentinel_is_told_with_the_remedy() -> None:
    with Sentinel() as server:
        sink = RedisSink("cache", settings(server))
        with pytest.raises(SinkError, match="Sentinel: name the server itself") as caught:
            await sink.deliver([update()])
        assert caught.value.retry_after == 60
        await sink.close()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "redis://127.0.0.1:port/0", "redis://127.0.0.1/0?no_such_option=1", "127.0.0.1"]
)
def test_an_address_that_cannot_be_used_is_told_of_when_the_sink_is_made(url: str) -> None:
    with pytest.raises(SinkError, match="sink cache: its address cannot be used") as caught:
        RedisSink("cache", RedisSinkSettings(url=Secret(url)))
    assert not caught.value.transient
    assert url not in str(caught.value)


async def test_an_idle_connection_that_was_closed_is_made_anew_at_once(sink: RedisSink, server: RedisServer) -> None:
    await sink.deliver([update(1)])
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await sink.deliver([update(2, price=2.0)])
    assert server.ask("GET", "price:last:AAPL") == "2.0"


async def test_a_frozen_server_is_given_up_at_the_deadline(server: RedisServer) -> None:
    sink = RedisSink("cache", settings(server), deadline=0.2)
    await sink.open()
    server.freeze()
    try:
        for _ in range(2):  # the second time there is no connection any more
            began = time.monotonic()
            with pytest.raises(SinkError, match=r"no answer within 0\.2 s") as caught:
                await sink.deliver(updates(2000))
            assert caught.value.transient
            assert time.monotonic() - began < 1
    finally:
        server.thaw()
    await sink.deliver(updates(2000))
    await sink.close()


async def test_what_a_given_up_connection_had_sent_never_comes_after_a_newer_price(server: RedisServer) -> None:
    async with Relay(server.port) as relay:
        url = Secret(f"redis://127.0.0.1:{relay.port}/0")
        sink = RedisSink("cache", RedisSinkSettings(url=url), deadline=0.2)
        await sink.open()
        relay.hold()
        with pytest.raises(SinkError, match="no answer"):
            await sink.deliver([update(1, price=1.0)])
        await sink.deliver([update(2, price=2.0)])
        relay.release()
        await eventually(lambda: relay.lines == 1)
        assert server.ask("GET", "price:last:AAPL") == "2.0"
        await sink.close()


async def test_without_the_permission_for_that_it_says_so_and_goes_on(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.ask("ACL", "SETUSER", "writer", "on", ">pass", "~*", "+setex", "+auth", "+ping", "+client|setname")
    async with Relay(server.port) as relay:
        url = Secret(f"redis://writer:pass@127.0.0.1:{relay.port}/0")
        sink = RedisSink("cache", RedisSinkSettings(url=url), deadline=0.2)
        with caplog.at_level(logging.WARNING):
            for turn in range(3):
                await sink.deliver([update(2 * turn + 1, price=1.0)])
                relay.hold()
                with pytest.raises(SinkError, match="no answer"):
                    await sink.deliver([update(2 * turn + 2, price=2.0)])
        await sink.close()
    said = [record.getMessage() for record in caplog.records if "CLIENT INFO" in record.getMessage()]
    assert len(said) == 1
    assert "an older price may stand for a moment" in said[0]


async def test_another_connection_with_the_same_number_is_not_dropped(server: RedisServer) -> None:
    # A server that was restarted counts its connections from 1 again.
    link = RedisLink(Secret(server.url), "cache")
    stranger = Redis.from_url(server.url)
    async with stranger:
        number = await stranger.client_id()
        link._doubtful.add((str(number), "127.0.0.1:1"))
        await link.connect()
        assert await stranger.client_id() == number
    await link.close()


async def test_tls_is_spoken_and_the_certificate_is_checked(server: RedisServer, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with Relay(server.port, authority.server("localhost")) as relay:
        url = f"rediss://localhost:{relay.port}/0"
        good = RedisSink("cache", RedisSinkSettings(url=Secret(f"{url}?ssl_ca_certs={authority.file}")))
        await good.deliver([update()])
        await good.close()
        assert server.ask("GET", "price:last:AAPL") == "200.35"
        bad = RedisSink("cache", RedisSinkSettings(url=Secret(url)))
        with pytest.raises(SinkError, match="certificate"):
            await bad.open()
        lost = RedisSink("cache", RedisSinkSettings(url=Secret(f"{url}?ssl_ca_certs=/nowhere/ca.pem")))
        with pytest.raises(
            SinkError, match="the certificates that its url names cannot be used: no such file"
        ) as caught:
            await lost.open()
        assert caught.value.retry_after == 60


async def test_what_is_no_redis_is_told_with_the_remedy() -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"I am none\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as other:
        place = f"127.0.0.1:{other.sockets[0].getsockname()[1]}"
        sink = RedisSink("cache", RedisSinkSettings(url=Secret(f"redis://{place}/0")))
        with pytest.raises(SinkError, match=f"^{place}: what answers there is no Redis: check host and port") as caught:
            await sink.open()
        assert caught.value.transient
        await sink.close()


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        (
            "rediss://h:1",
            TimeoutError("x"),
            "h:1: no connection within 3 s with TLS: where it speaks none, name it redis://...",
        ),
        ("redis://h:1", TimeoutError("x"), "h:1: no connection within 3 s"),
        (
            "redis://h:1",
            AuthenticationError("user is disabled."),
            "h:1: user is disabled: set user and password in its url",
        ),
    ],
)
def test_what_the_library_says_is_told_with_its_place_and_the_remedy(url: str, error: Exception, said: str) -> None:
    assert str(RedisLink(Secret(url), "cache")._told(error)).startswith(said)


def test_without_the_library_it_is_said_how_to_get_it() -> None:
    program = """
import sys
for library in ("redis", "asyncpg", "nats"):
    sys.modules[library] = None
from pricestreamd.model.errors import SinkError
from pricestreamd.model.secret import Secret
from pricestreamd.sinks import catalogue
from pricestreamd.sinks.settings import NatsSinkSettings, PostgresSinkSettings, RedisSinkSettings
for kind in (RedisSinkSettings, PostgresSinkSettings, NatsSinkSettings):
    try:
        catalogue.create("mine", kind(url=Secret("x://y")))
    except SinkError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "sink mine needs the library redis: pip install pricestreamd[redis]",
        "sink mine needs the library asyncpg: pip install pricestreamd[postgres]",
        "sink mine needs the library nats: pip install pricestreamd[nats]",
    ]
    assert catalogue.missing_library("redis") is None
    assert catalogue.missing_library("file") is None
