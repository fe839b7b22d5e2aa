"""Addresses: what in them is a secret is hidden wherever it appears, and what is none stays readable."""

import pytest

from pricestreamd.model.secret import redact
from pricestreamd.model.secret_address import masked_address, register_address, secret_parts

KEY = "8f3kd92ndk20sl10"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("wss://ws.example.org/v1/quotes/price", set()),
        (f"wss://ws.example.org/v1?apikey={KEY}&symbol=AAPL", {KEY}),
        ("wss://ws.example.org/v1?streamToken=abc", {"abc"}),
        (f"wss://ws.example.org/v1?other={KEY}", {KEY}),
        (f"wss://ws.example.org/ws/v3/{KEY}", {KEY}),
        ("wss://user:p%40ss@example.org/", {"p@ss", "p%40ss"}),
        ("wss://user@example.org/", {"user"}),
        ("postgresql://postgres@localhost/prices", set()),
        ("postgresql://me:pass@host/prices?sslmode=verify-full", {"pass"}),
        ("redis://:pass@127.0.0.1:6379/0", {"pass"}),
        ("nats://token@127.0.0.1:4222", {"token"}),
        ("sqlite:////srv/0123456789abcdef/list.db", set()),
        ("wss://stream-0123456789.example.org:9443/v1", set()),
        ("wss://[2001:db8:1234:abcd::1]:9443/v1", set()),
        (f"wss://h/v3/{KEY}.{KEY}", {f"{KEY}.{KEY}"}),
        ("http://[", set()),
    ],
)
def test_the_secret_parts_of_an_address(url: str, parts: set[str]) -> None:
    assert set(secret_parts(url, secret=False)) == parts


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://hooks.example.org/services/T0/B0?x=1#y", {"/services/T0/B0?x=1#y"}),
        ("https://hooks.example.org/%61larms/for/me", {"/%61larms/for/me", "/alarms/for/me"}),
        ("https://hooks.example.org/hook", set()),
        ("https://hooks.example.org/", set()),
        (f"tgram://{KEY}/-1001", {KEY}),
        (f"tgram://123456789:{KEY}/-1001", {f"123456789:{KEY}", "123456789", KEY}),
        ("postgresql://me:pass@host/a-database-with-a-long-name", {"pass"}),
    ],
)
def test_behind_the_host_of_a_secret_address_all_is_secret(url: str, parts: set[str]) -> None:
    assert set(secret_parts(url, secret=True)) == parts


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pass@hooks.example.org:8443/services/T0/B0?x=1", "https://***@hooks.example.org:8443/***"),
        ("https://hooks.example.org", "https://hooks.example.org"),
        ("https://hooks.example.org/", "https://hooks.example.org"),
        ("http://me:pass@proxy.example.org:3128", "http://***@proxy.example.org:3128"),
        ("tgram://123:abc/-1001", "tgram://***"),
        ("ntfy://my-topic", "ntfy://***"),
        ("mailto://me:pass@example.org", "mailto://***"),
        ("redis://:pass@127.0.0.1:6379/0", "redis://***@127.0.0.1:6379/0"),
        (
            "postgresql://me:pass@db.example.org/prices?password=x",
            "postgresql://***@db.example.org/prices?password=***",
        ),
        ("nats://token@127.0.0.1:4222", "nats://***@127.0.0.1:4222"),
        ("sqlite:////srv/watchlist.db", "sqlite:////srv/watchlist.db"),
        ("http://[", "***"),
    ],
)
def test_a_secret_address_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    assert masked_address(url, secret=True) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://ws.example.org/v1/quotes/price", "wss://ws.example.org/v1/quotes/price"),
        (f"wss://ws.example.org/v1?apikey={KEY}&symbol=A%2FB", "wss://ws.example.org/v1?apikey=***&symbol=A/B"),
        (f"https://rpc.example.org/v3/{KEY}/prices", "https://rpc.example.org/v3/***/prices"),
        ("wss://me:pass@ws.example.org/v1", "wss://***@ws.example.org/v1"),
        ("wss://a-long-name-0123456789.example.org/v1", "wss://a-long-name-0123456789.example.org/v1"),
        ("wss://[2001:db8:1234:abcd::1]:9443/v1", "wss://[2001:db8:1234:abcd::1]:9443/v1"),
        (f"wss://h/v3/{KEY}.{KEY}", "wss://h/v3/***"),
    ],
)
def test_of_an_endpoint_only_the_secret_parts_are_masked(url: str, shown: str) -> None:
    assert masked_address(url, secret=False) == shown


@pytest.mark.parametrize(
    "url",
    [
        "wss://example.org/stream?streamToken={}&symbols=AAPL",
        "wss://example.org/stream?X-Api-Key={}",
        "wss://user:{}@example.org/",
        "wss://{}@example.org/",
    ],
)
def test_a_secret_in_an_address_is_known_wherever_it_is_echoed(url: str) -> None:
    register_address(url.format("canary-of-mine"), secret=False)
    register_address("http://[", secret=True)
    assert redact("hello canary-of-mine, AAPL by user") == "hello ***, AAPL by user"
