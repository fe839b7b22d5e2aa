"""The JSON Schema says what the loader says."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pricestreamd.config.scalars import Scalar
from pricestreamd.config.schema import json_schema
from pricestreamd.config.yaml_text import read_yaml
from pricestreamd.model.errors import ConfigError
from tests.unit.config.conftest import Load

CONFIG = Path(__file__).parents[3] / "config"
SAMPLES = ("minimal.yaml", "price-stream.yaml", "demo.yaml")


class Unfilled(dict[str, str]):
    """An environment in which `${NAME}` stays what it is, as an editor sees it."""

    def get(self, name: str, default: Any = None) -> str:
        return f"${{{name}}}"


def seen(text: str) -> Any:
    """A document as an editor sees it."""

    def plain(data: Any) -> Any:
        if isinstance(data, dict):
            return {key: plain(value) for key, value in data.items()}
        if isinstance(data, list):
            return [plain(value) for value in data]
        return data.value if isinstance(data, Scalar) else data

    return plain(read_yaml(text.encode(), Unfilled()).data)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_shipped_schema_is_the_one_the_settings_make() -> None:
    assert (CONFIG / "schema.json").read_text() == json.dumps(json_schema(), indent=2) + "\n", (
        "run: pricestreamd schema > config/schema.json"
    )


def test_every_key_is_described() -> None:
    schema = json_schema()
    for name, part in {"the root": schema, **schema["$defs"]}.items():
        for key, value in part.get("properties", {}).items():
            assert value["description"], f"{key} of {name}"
            assert part["additionalProperties"] is False


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_are_valid(validator: Draft202012Validator, name: str) -> None:
    assert [error.message for error in validator.iter_errors(seen((CONFIG / name).read_text()))] == []


FEED = "feeds: {us: {provider: twelvedata, api_key: '${K}', symbols: [AAPL]}}\n"
TESTED = """
alerts: [{name: a, symbol: A, above: 1}]
tests: [{name: a, start: 2026-01-05T15:00:00Z, ticks: [{symbol: A, price: 1}], expect: [{alert: a, at: 0s}]}]
"""
GOOD = [
    "",
    "alerts:\nsinks:\nportfolio:",
    "shutdown_timeout: 5",
    "shutdown_timeout: 300",
    "shutdown_timeout: 0.25s",
    "shutdown_timeout: '250'",
    "shutdown_timeout: 1000ms",
    "shutdown_timeout: ${WAIT}",
    "stream: {min_change_percent: 5%, suspect: null, bars: [1m, 60], spike: {window: 5m}}",
    "stream: {history: {size: '${SIZE}', enabled: '${YES}'}, out_of_order: '${MODE}'}",
    "alerts: [{symbol: A, above: 1, for: 5s, baseline: 5m, expires: 2030-01-01T00:00:00Z, active: {from: 9:30}}]",
    "alerts: [{symbols: [A, B], change_percent: '5%', notify: [log], when: all}]",
    "portfolio: {AAPL: {shares: -1.5, cost_basis: 0}}",
    "sinks: {a: {type: file, path: x, rotate: {size: 4MiB, every: 1d}, compress: zstd}}",
    "sinks: {a: {type: webhook, url: 'https://h', allow_private: true}}",
    "sinks: {a: {type: webhook, url: 'https://h', allow_private: [10.0.0.0/8], retry: {delays: [0s, 10h]}}}",
    "sinks: {a: {type: notify, urls: ['json://h'], templates: {price.alert: 'x {price}'}}}",
    "sinks: {a: {type: redis, url: 'redis://h', stream: {key: k}, queue: {policy: conflate}}}",
    "http: {listen: 'unix:/x', tls: {cert_file: a, key_file: b}}",
    "logging: {level: debug}",
    "listeners: [{event: '*', call: 'a:b', priority: -1}]",
    TESTED,
]
BAD = [
    "nonsense: 1",
    "shutdown_timeout: 301",
    "shutdown_timeout: '301'",
    "shutdown_timeout: soon",
    "shutdown_timeout: -1",
    "shutdown_timeout: null",
    "shutdown_timeout: 0",
    "stream:",
    "stream: []",
    "stream: {history: {size: 0}}",
    "stream: {history: {size: 1.5}}",
    "stream: {history: {size: '5'}}",
    "stream: {history: {enabled: 'yes'}}",
    "stream: {history: {enable: true}}",
    "stream: {out_of_order: ignore}",
    "stream: {spike: null}",
    "stream: {bars: 1m}",
    "alerts: [A]",
    "alerts: [{symbol: 600519, above: 1}]",
    "alerts: [{symbol: A, above: '1'}]",
    "alerts: [{symbol: A, above: 0}]",
    "alerts: [{symbol: A, above: 1, notify: phone}]",
    "alerts: [{symbol: A, above: 1, active: {from: 25:00}}]",
    "portfolio: {AAPL: {shares: 1}}",
    "sinks: {a: {type: sqllite, path: x}}",
    "sinks: {a: {path: x}}",
    "sinks: {a: {type: file}}",
    "sinks: {a: {type: file, path: x, retention: 1d}}",
    "sinks: {a: {type: notify, urls: []}}",
    "sinks: {a: {type: file, path: x, batch: {interval: 1000}}}",
    "sinks: {a: {type: file, path: x, rotate: {size: 4MB}}}",
    "http: {listen: 9777}",
    "http: {tls: {cert_file: a}}",
    "logging: {level: loud}",
    "tests: [{name: a}]",
    "tests: [{name: a, ticks: [], expect: []}]",
]
FEEDS = [
    ("{provider: twelvedata, api_key: '${K}', stale_after: {symbol: null, connection: learned}}", True),
    ("{provider: twelvedata, api_key: '${K}', market_hours: {calendar: XNYS}}", True),
    ("{provider: twelvedata, api_key: '${K}', market_hours: {BTC/*: always, '*': {calendar: XNYS}}}", True),
    ("{provider: twelvedata, api_key: '${K}', market_hours: {timezone: UTC, open: '9:30', close: '16:00'}}", True),
    ("{provider: twelvedata, api_key: '${K}', proxy: env, max_connections: '${N:-5}'}", True),
    ("{provider: twelvedata, api_key: '${K}', price: p}", False),
    ("{provider: twelvedata, api_key: '${K}', market_hours: sometimes}", False),
    ("{provider: twelvedata, api_key: '${K}', channel: books}", False),
    ("{provider: twelvedata, api_key: 5}", False),
    ("{provider: twelvedata, api_key: '${K}', reconnect: {jitter: 2}}", False),
    ("{provider: twelvedata, api_key: '${K}', watchlist: {sql: {url: 'sqlite:///x'}}}", False),
    ("{api_key: '${K}'}", False),
    ("5", False),
]
ENVIRON = {"K": "key", "WAIT": "5s", "SIZE": "5", "YES": "true", "MODE": "accept", "N": "5"}


def accepts(load_text: Load, text: str) -> bool:
    try:
        load_text(text, **ENVIRON)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "good"),
    [(FEED + text, True) for text in GOOD]
    + [(FEED + text, False) for text in BAD]
    + [(f"feeds: {{us: {feed}}}", good) for feed, good in FEEDS],
)
def test_schema_and_loader_agree(load_text: Load, validator: Draft202012Validator, text: str, *, good: bool) -> None:
    assert (accepts(load_text, text), validator.is_valid(seen(text))) == (good, good)


def test_the_schema_too_wants_a_feed(validator: Draft202012Validator) -> None:
    assert [validator.is_valid(seen(text)) for text in ("", "feeds:", "feeds: {}", FEED)] == [False, False, False, True]


def test_a_schema_can_be_changed_without_changing_the_next_one() -> None:
    json_schema()["$defs"].clear()
    assert json_schema()["$defs"]
