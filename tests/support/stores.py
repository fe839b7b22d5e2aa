"""Servers that many tests share: each is started when it is first asked for, and ended with `end_all`.

They outlive a stop: what was written is there again after a start.
"""

from contextlib import ExitStack
from functools import cache

from tests.support.nats_server import NatsServer
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer

_running = ExitStack()


@cache
def shared_redis() -> RedisServer:
    return _running.enter_context(RedisServer("--appendonly", "yes"))


@cache
def shared_postgres() -> PostgresServer:
    return _running.enter_context(PostgresServer())


@cache
def shared_nats() -> NatsServer:
    return _running.enter_context(NatsServer())


def end_all() -> None:
    for server in (shared_redis, shared_postgres, shared_nats):
        server.cache_clear()
    _running.close()
