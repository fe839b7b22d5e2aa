"""The cases of the sinks that lead to a server of somebody else's: how to make, read, break and hang each."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pricestreamd.model.secret import Secret
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.nats.sink import NatsSink
from pricestreamd.sinks.postgres.sink import PostgresSink
from pricestreamd.sinks.redis.sink import RedisSink
from pricestreamd.sinks.settings import (
    NatsSinkSettings,
    PostgresSinkSettings,
    RedisSinkSettings,
    RedisStreamSettings,
)
from tests.support.nats_server import NatsServer
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.stores import shared_nats, shared_postgres, shared_redis

Told = list[tuple[str, float, int]]

_numbers = itertools.count(1)


class _StoreCase:
    server: RedisServer | PostgresServer | NatsServer
    # Whether events keep their order where some of a batch were refused and others were not.
    in_order = True

    def end(self) -> None:
        pass

    @contextlib.contextmanager
    def broken(self) -> Iterator[None]:
        self.server.kill()
        try:
            yield
        finally:
            self.server.start()

    @contextlib.contextmanager
    def hanging(self) -> Iterator[Callable[[], object]]:
        self.server.freeze()
        try:
            yield self.server.thaw
        finally:
            self.server.thaw()


class RedisCase(_StoreCase):
    kind = "redis"
    exactly_once = False

    def __init__(self, folder: Path) -> None:
        self.server: RedisServer = shared_redis()
        self.key = f"events-{next(_numbers)}"

    def sink(self, **more: Any) -> Sink:
        settings = RedisSinkSettings(url=Secret(self.server.url), stream=RedisStreamSettings(key=self.key))
        return RedisSink("redis", settings, **more)

    def fill(self) -> None:
        """Have it refuse whatever needs memory."""
        self.server.ask("CONFIG", "SET", "maxmemory", "1")

    def make_room(self) -> None:
        self.server.ask("CONFIG", "SET", "maxmemory", "0")

    def read(self) -> Told:
        entries: Any = self.server.ask("XRANGE", self.key, "-", "+")
        events = [json.loads(fields[1]) for _, fields in entries]
        return [(event["symbol"], event["price"], event["sequence"]) for event in events]


class PostgresCase(_StoreCase):
    kind = "postgres"
    exactly_once = True
    # PostgreSQL has no text with it.
    cannot_hold = ("\x00",)

    def __init__(self, folder: Path) -> None:
        self.server: PostgresServer = shared_postgres()
        self.schema = f"case_{next(_numbers)}"
        self.server.execute(f"CREATE SCHEMA {self.schema}")

    def sink(self, **more: Any) -> Sink:
        url = f"{self.server.url}?options=-csearch_path={self.schema}"
        return PostgresSink("postgres", PostgresSinkSettings(url=Secret(url)), **more)

    def fill(self) -> None:
        """Have it take no writes."""
        self.server.read_only(True)

    def make_room(self) -> None:
        self.server.read_only(False)

    def read(self) -> Told:
        rows = "json_agg(json_build_array(symbol, price, sequence) ORDER BY id)"
        found = self.server.execute(f"SELECT coalesce({rows}, '[]') FROM {self.schema}.prices")
        return [(symbol, price, sequence) for symbol, price, sequence in json.loads(found)]


class NatsCase(_StoreCase):
    kind = "nats"
    exactly_once = True
    in_order = False

    def __init__(self, folder: Path) -> None:
        self.server: NatsServer = shared_nats()
        self.prefix = f"case-{next(_numbers)}"
        self.server.add_stream(self.prefix)

    def sink(self, **more: Any) -> Sink:
        return NatsSink("nats", NatsSinkSettings(url=Secret(self.server.url), prefix=self.prefix), **more)

    def fill(self) -> None:
        """Have its stream take no more."""
        self.server.change_stream(self.prefix, max_msgs=1, discard="new")

    def make_room(self) -> None:
        self.server.change_stream(self.prefix, max_msgs=-1)

    def read(self) -> Told:
        events = [json.loads(message.body) for message in self.server.messages(self.prefix)]
        return [(event["symbol"], event["price"], event["sequence"]) for event in events]


STORES = (RedisCase, PostgresCase, NatsCase)
StoreCase = RedisCase | PostgresCase | NatsCase
