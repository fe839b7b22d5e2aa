"""The configuration as the API tells it: every key of the file, readable, and no secret."""

import json
from pathlib import Path

import jsonschema
import pytest

from pricestreamd.config.load import load
from pricestreamd.config.schema import json_schema
from pricestreamd.config.settings import Settings
from pricestreamd.config.validate import build
from pricestreamd.config.words import Folders
from pricestreamd.daemon.answers.config import in_force, masked

OPEN = """
feeds:
  coins:
    provider: binance
    symbols: [BTC/USDT]
    watchlist: {file: symbols.txt, refresh: 5m}
    max_message_size: 64KiB
    market_hours:
      "*": {timezone: Europe/Berlin, open: "09:00", close: "17:30:05"}
      "X*": {calendar: XNYS}
      "Y*": always
    stale_after: {connection: learned, symbol: 90s}
  own:
    provider: generic
    endpoint: wss://example.org/stream?depth=5
    symbols: [A]
    subscribe: "want {symbols}"
    match: {type: trade, v: 2, live: true, at: 1.5}
    heartbeat: {send: ping, every: 250ms}
stream: {suspect: null, bars: [1m, 5m], spike: {percent: 2.5%, window: 5m}}
alerts:
  - {symbol: BTC/USDT, above: 1e5, for: 10s, baseline: 15m, expires: "2100-01-31T16:00:00-05:00"}
  - {symbols: [A], change_percent: 5, active: {days: mon-fri, from: "09:30", to: "16:00", timezone: Europe/Berlin}}
portfolio: {A: {shares: 1, cost_basis: 2}}
sinks:
  log: {type: log}
  file: {type: file, path: events.jsonl, rotate: {size: 1MiB, every: 1d}}
  hook: {type: webhook, url: "https://example.org", allow_private: [10.0.0.0/8]}
  call: {type: call, call: "json:dumps"}
http: {allowed_hosts: [example.org]}
tests:
  - {name: t, ticks: [{symbol: A, price: 1, at: 5s}], expect: []}
"""
SECRET = """
feeds:
  us:
    provider: generic
    api_key: key-0000001
    endpoint: "wss://me:pass-000001@example.org/v1?apikey=key-0000002&depth=5"
    symbols: [A]
    headers: {X-Plan: header-000001}
    on_open: ["hello on-open-000001"]
    subscribe: "want {symbols} with ${K}"
    watchlist: {sql: {url: "postgresql://me:pass-000002@db.example.org/lists", query: SELECT 1}}
    proxy: "http://me:pass-000003@proxy.example.org:3128"
  env: {provider: binance, symbols: [B/C], proxy: env}
sinks:
  hook: {type: webhook, url: "https://example.org/hooks/hook-000001?a=b", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
  phone: {type: notify, urls: ["json://me:pass-000004@h/x"]}
http: {auth_token: token-000001}
deadman: {url: "https://hc.example.org/dead-000001"}
"""


def settings_of_text(folder: Path, text: str, **environ: str) -> Settings:
    path = folder / "c.yaml"
    path.write_text(text)
    (folder / "symbols.txt").write_text("A\n")
    return load(path, environ={"STATE_DIRECTORY": str(folder / "state"), **environ}).settings


def test_it_is_a_file_that_reads_back_as_the_same_configuration(tmp_path: Path) -> None:
    settings = settings_of_text(tmp_path, OPEN)
    told = masked(settings)
    jsonschema.validate(told, json_schema())
    again, faults = build(Settings, json.loads(json.dumps(told)), Folders(tmp_path, tmp_path / "state"))
    assert faults == []
    assert again == settings


def test_it_has_every_key_of_the_schema(tmp_path: Path) -> None:
    told = masked(settings_of_text(tmp_path, "feeds: {a: {provider: binance, symbols: [A/B]}}"))
    assert list(told) == list(json_schema()["properties"])
    assert told["shutdown_timeout"] == "10s"
    assert told["feeds"]["a"]["max_message_size"] == "4MiB"
    assert told["stream"]["min_change_percent"] == 0.1
    assert told["state"] == {"path": str(tmp_path / "state" / "state.db")}
    assert told["feeds"]["a"]["api_key"] is None


def test_it_holds_no_secret_and_tells_that_there_is_one(tmp_path: Path) -> None:
    told = masked(settings_of_text(tmp_path, SECRET, K="from-the-environment"))
    text = json.dumps(told)
    for part in ("-0000", "from-the-environment", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"):
        assert part not in text, part
    us = told["feeds"]["us"]
    assert us["api_key"] == "***"
    assert us["endpoint"] == "wss://***@example.org/v1?apikey=***&depth=5"
    assert us["headers"] == {"X-Plan": "***"}
    assert us["on_open"] == ["***"]
    assert us["subscribe"] == "want {symbols} with ***"
    assert us["watchlist"]["sql"]["url"] == "postgresql://***@db.example.org/lists"
    assert us["proxy"] == "http://***@proxy.example.org:3128"
    assert told["feeds"]["env"]["proxy"] == "env"
    assert told["sinks"]["hook"]["url"] == "https://example.org/***"
    assert told["sinks"]["hook"]["secret"] == "***"
    assert told["sinks"]["phone"]["urls"] == ["json://***"]
    assert told["http"]["auth_token"] == "***"
    assert told["deadman"]["url"] == "https://hc.example.org/***"


def test_what_is_read_once_is_told_as_it_was_at_the_start(tmp_path: Path) -> None:
    feeds = "feeds: {a: {provider: binance, symbols: [A/B]}}\n"
    started = settings_of_text(tmp_path, feeds + "stream: {min_change_percent: 5}\nlogging: {format: json}")
    reloaded = settings_of_text(tmp_path, feeds + "logging: {level: debug}")
    told = in_force(reloaded, started)
    assert told["stream"]["min_change_percent"] == 0.1
    assert told["logging"] == {"level": "debug", "format": "json", "stats_interval": "1m"}
    assert in_force(started, started) == masked(started)


@pytest.mark.parametrize("sample", ["minimal", "price-stream", "demo"])
def test_the_samples_can_be_told(sample: str, tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path), "WEBSOCKET_API_KEY": "k", "NOTIFY_URL": "ntfy://h/topic"}
    path = Path("config") / f"{sample}.yaml"
    told = masked(load(path, environ=environ).settings)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
