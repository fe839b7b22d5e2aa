"""Loading a file: every problem at once, in its place, in plain words."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
import trustme

from pricestreamd.config.load import find_config, load, state_directory
from pricestreamd.config.settings import Settings
from pricestreamd.feeds.settings import (
    CalendarHoursSettings,
    FeedSettings,
    GenericFeedSettings,
    ReconnectSettings,
    SessionHoursSettings,
)
from pricestreamd.model.errors import ConfigError
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.settings import SqliteSinkSettings, WebhookRetrySettings, WebhookSinkSettings
from tests.unit.config.conftest import Load, Problems

FEED = "feeds: {us: {provider: twelvedata, api_key: '${K}', symbols: [AAPL]}}\n"


def test_an_empty_file_is_all_defaults_where_no_feed_is_needed(load_text: Load, tmp_path: Path) -> None:
    settings = load_text("").settings
    assert settings.stream == Settings().stream
    assert settings.http == Settings().http
    assert settings.feeds == {}
    assert settings.state.path == tmp_path / "state" / "state.db"


@pytest.mark.parametrize("text", ["", "# nothing", "---", "feeds:", "feeds: {}", "stream: {}"])
def test_feeds_are_the_only_section_without_a_default(problems_of: Problems, text: str) -> None:
    (problem,) = problems_of(text, feeds_required=True)
    assert problem.endswith(": feeds: name at least one feed: where prices come from has no default")


def test_sections_that_are_written_empty_are_empty(load_text: Load) -> None:
    settings = load_text("alerts:\nsinks:\nlisteners:\n  # - nothing\n").settings
    assert (settings.alerts, settings.sinks, settings.listeners) == ((), {}, ())


def test_the_settings_are_those_of_the_file(load_text: Load, tmp_path: Path) -> None:
    settings = load_text(
        """
        feeds:
          us:
            provider: twelvedata
            api_key: ${K}
            symbols: [AAPL, ON, NO]
            max_message_size: 64KiB
            reconnect: {initial_delay: 250ms, jitter: 0}
            stale_after: {connection: null, symbol: 5m}
            market_hours: {calendar: XNYS}
          crypto:
            provider: twelvedata
            api_key: ${K}
            market_hours:
              BTC/*: always
              "*": {timezone: America/New_York, open: "09:30", close: 16:00}
        stream: {min_change_percent: 0.05%, suspect: null, bars: [1m, 300]}
        alerts:
          - {symbol: AAPL, above: 2e2, for: 30s, expires: 2030-01-31T16:00:00-05:00, baseline: 15m}
          - {symbol: NO, below: 1, active: {from: "09:30", to: "16:00"}}
        sinks:
          db: {type: sqlite, path: prices.db, retention: 30d}
          hook: {type: webhook, url: "https://example.org", retry: {jitter: 0}, allow_private: [10.0.0.0/8]}
        shutdown_timeout: 300
        """,
        K="key-1234",
    ).settings
    us, crypto = settings.feeds["us"], settings.feeds["crypto"]
    assert us == FeedSettings(
        provider="twelvedata",
        api_key=Secret("key-1234"),
        symbols=("AAPL", "ON", "NO"),
        max_message_size=65536,
        reconnect=ReconnectSettings(initial_delay=0.25, jitter=0),
        stale_after=type(us.stale_after)(connection=None, symbol=300),
        market_hours=CalendarHoursSettings(calendar="XNYS"),
    )
    assert crypto.market_hours == {
        "BTC/*": "always",
        "*": SessionHoursSettings(timezone="America/New_York", open=time(9, 30), close=time(16)),
    }
    assert (settings.stream.min_change_percent, settings.stream.suspect) == (0.05, None)
    assert list(settings.stream.bars) == [60, 300]
    first, second = settings.alerts
    assert (first.above, first.hold_for, first.baseline) == (200, 30, 900)
    assert first.expires == datetime(2030, 1, 31, 21, tzinfo=UTC)
    assert second.active
    assert (second.active.start, second.active.end) == (time(9, 30), time(16))
    assert settings.sinks["db"] == SqliteSinkSettings(path=tmp_path / "state" / "prices.db", retention=30 * 86400)
    hook = settings.sinks["hook"]
    assert isinstance(hook, WebhookSinkSettings)
    assert hook.retry == WebhookRetrySettings(jitter=0)
    assert hook.allow_private == ("10.0.0.0/8",)
    assert settings.shutdown_timeout == 300


def test_the_generic_provider_has_keys_of_its_own(load_text: Load) -> None:
    (feed,) = load_text(
        """
        feeds:
          own:
            provider: generic
            endpoint: wss://example.org/feed
            headers: {Authorization: "Bearer ${K}", User-Agent: me}
            on_open: ['{"auth": "${K}"}']
            subscribe: '{"sub": "{symbol}"}'
            heartbeat: {interval: 5s, send: ping, every: 10s}
            items: data
            price: p[0].last
            time_unit: ms
            match: {type: trade, ok: true, level: 1}
            symbols: [X]
        """,
        K="key-1234",
    ).settings.feeds.values()
    assert isinstance(feed, GenericFeedSettings)
    assert feed.headers["Authorization"] == Secret("Bearer key-1234")
    assert feed.on_open == (Secret('{"auth": "key-1234"}'),)
    assert (feed.heartbeat.send, feed.heartbeat.every, feed.heartbeat.timeout) == ("ping", 10, 10)
    assert feed.match == {"type": "trade", "ok": True, "level": 1}


def test_every_problem_of_a_file_is_told_at_once_and_in_its_order(problems_of: Problems) -> None:
    assert problems_of(
        """
        feeds:
          us:
            provider: twelvdata
            api_key: [secret]
            symbols: AAPL
            endpoint: not an address
            reconnect:
              max_delay: soon
              initial_delay: 1000
              jitter: 1.5
            heartbeat: {enabled: yes, intervall: 5s}
            max_delay: 5s
            symbols: [TRUE]
          eu: {symbols: [MSFT]}
        alerts:
          - {symbol: 600519, above: "200"}
          - {symbol: AAPL, abov: 200}
          - {symbol: AAPL}
          - {above: -1}
          - {symbol: AAPL, above: 1, notify: [phon]}
        sinks:
          phone: {type: notify, urls: []}
          db: {type: sqllite, path: x}
          out: {path: x}
          file: {type: file}
        http: {listen: 9777}
        strem: {}
        logging: {level: ${LEVEL}, format: ${MISSING}}
        """.replace("${LEVEL}", '"${LEVEL}"').replace("${MISSING}", '"${MISSING}"'),
        LEVEL="loud-canary",
    ) == [
        "c.yaml:3:15: feeds.us.provider: no provider 'twelvdata'; did you mean 'twelvedata'?",
        "c.yaml:4:14: feeds.us.api_key: expected text, got a list",
        "c.yaml:5:14: feeds.us.symbols: expected a list such as [a, b], got 'AAPL'",
        "c.yaml:6:15: feeds.us.endpoint: expected an address such as wss://host/path",
        "c.yaml:8:18: feeds.us.reconnect.max_delay: expected a duration such as 30s, got 'soon'",
        (
            "c.yaml:9:22: feeds.us.reconnect.initial_delay: expected a duration such as 30s, got the number 1000; a bare "
            "number is seconds: did you mean 1000ms? (or write 1000s)"
        ),
        "c.yaml:10:15: feeds.us.reconnect.jitter: must be at most 1, got the number 1.5",
        "c.yaml:11:26: feeds.us.heartbeat.enabled: expected true or false, got 'yes'; did you mean true?",
        "c.yaml:11:31: feeds.us.heartbeat.intervall: unknown key; did you mean 'interval'?",
        "c.yaml:12:5: feeds.us.max_delay: unknown key; did you mean 'reconnect.max_delay'?",
        "c.yaml:13:5: feeds.us.symbols: this key is already written in line 5",
        "c.yaml:14:3: feeds.eu.provider: this key is missing",
        'c.yaml:16:14: alerts[0].symbol: expected text, got the number 600519; as text it is quoted: "600519"',
        "c.yaml:16:29: alerts[0].above: expected a number or null, got '200'; remove the quotes",
        "c.yaml:17:20: alerts[1].abov: unknown key; did you mean 'above'?",
        (
            "c.yaml:18:5: alerts[2]: an alert needs a condition: above, below, change_percent, trailing_percent, "
            "day_volume_above or trade_size_above"
        ),
        "c.yaml:19:5: alerts[3]: an alert needs symbol or symbols",
        "c.yaml:19:13: alerts[3].above: must be more than 0, got the number -1",
        "c.yaml:20:39: alerts[4].notify[0]: no sink 'phon'; did you mean 'phone'?",
        "c.yaml:22:31: sinks.phone.urls: expected at least one entry",
        (
            "c.yaml:23:14: sinks.db.type: expected log, file, sqlite, postgres, redis, nats, webhook, notify or call, got "
            "'sqllite'; did you mean 'sqlite'?"
        ),
        "c.yaml:24:8: sinks.out: its type is missing: log, file, sqlite, postgres, redis, nats, webhook, notify or call",
        "c.yaml:25:3: sinks.file.path: this key is missing",
        'c.yaml:26:16: http.listen: expected text, got the number 9777; as text it is quoted: "9777"',
        "c.yaml:27:1: strem: unknown key; did you mean 'stream'?",
        "c.yaml:28:18: logging.level: expected debug, info, warning or error, got the value of ${LEVEL}",
        "c.yaml:28:38: logging.format: the environment has no MISSING; set it, or give a default: ${MISSING:-...}",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # YAML 1.1 would have read these as something else.
        ("alerts: [{symbol: NO, above: ON}]", "1:30: alerts[0].above: expected a number or null, got 'ON'"),
        ("shutdown_timeout: 12:30:45", "1:19: shutdown_timeout: expected a duration such as 30s, got '12:30:45'"),
        ("logging: {level: NO}", "1:18: logging.level: expected debug, info, warning or error, got 'NO'"),
        (
            "logging: {level: TRUE}",
            "1:18: logging.level: expected debug, info, warning or error, got TRUE",
        ),
        ("stream: {history: {enabled: on}}", "1:29: stream.history.enabled: expected true or false, got 'on'; did you mean true?"),
        ("stream: {history: {size: 1e3}}", "1:26: stream.history.size: expected a whole number, got the number 1e3"),
        ("stream: {history: {size: 0}}", "1:26: stream.history.size: must be at least 1, got the number 0"),
        ("stream: {history: {size: ''}}", "1:26: stream.history.size: expected a whole number, got ''"),
        ("stream: {history: {size: }}", "1:25: stream.history.size: expected a whole number, got nothing"),
        ("stream: {history: 5}", "1:19: stream.history: expected a mapping of keys, got the number 5"),
        ("stream: []", "1:9: stream: expected a mapping of keys, got a list"),
        ("stream:", "1:8: stream: expected a mapping of keys, got nothing; leave the key out for its default"),
        ("stream: {spike: {percent: .nan}}", "1:27: stream.spike.percent: expected per cent such as 5.0 or 5.0%, got the number .nan"),
        ("stream: {spike: {percent: 1e400}}", "1:27: stream.spike.percent: expected per cent such as 5.0 or 5.0%, got the number 1e400"),
        ("stream: {spike: {window: 5min}}", "1:26: stream.spike.window: expected a duration such as 30s or null, got '5min'; did you mean 5m?"),
        ("stream: {spike: {window: -5}}", "1:26: stream.spike.window: expected a duration such as 30s or null, got the number -5"),
        ("stream: {spike: {window: 0}}", "1:26: stream.spike.window: must be more than 0, got the number 0"),
        ("stream: {out_of_order: ignore}", "1:24: stream.out_of_order: expected drop or accept, got 'ignore'"),
        ("stream: {bars: [1m, x]}", "1:21: stream.bars[1]: expected a duration such as 30s, got 'x'"),
        ("alerts: {a: 1}", "1:9: alerts: expected a list such as [a, b], got a mapping"),
        ("alerts: [AAPL]", "1:10: alerts[0]: expected a mapping of keys, got 'AAPL'"),
        ("alerts: [{symbol: A, above: .inf}]", "1:29: alerts[0].above: expected a number or null, got the number .inf"),
        ("alerts: [{symbol: A, above: 1, expires: 2030-01-31}]", "1:41: alerts[0].expires: expected a time with its offset such as 2030-01-31T16:00:00-05:00 or null, got '2030-01-31'"),
        ("alerts: [{symbol: A, above: 1, expires: 2030-13-01T00:00Z}]", "1:41: alerts[0].expires: expected a time with its offset such as 2030-01-31T16:00:00-05:00 or null, got '2030-13-01T00:00Z'"),
        ("alerts: [{symbol: A, above: 1, notify: phone}]", "1:40: alerts[0].notify: expected a list such as [a, b], got 'phone'"),
        ("alerts: [{symbol: A, above: 1, active: {from: 25:00}}]", "1:47: alerts[0].active.from: expected a time of day such as 09:30, got '25:00'"),
        ("alerts: [{symbol: A, above: 1, active: {days: mon-fry}}]", "1:47: alerts[0].active.days: expected days such as mon-fri or mon,wed,sat, got 'mon-fry'"),
        ("alerts: [{symbol: A, above: 1, active: {timezone: America/NewYork}}]", "1:51: alerts[0].active.timezone: no time zone 'America/NewYork'; did you mean 'America/New_York'?"),
        ("feeds: {us: {provider: twelvedata, market_hours: {calendar: XNYC}}}", "1:61: feeds.us.market_hours.calendar: no exchange calendar 'XNYC'; did you mean 'XNYS'?"),
        ("feeds: {us: {provider: twelvedata, market_hours: {calendar: tsx}}}", "1:61: feeds.us.market_hours.calendar: no exchange calendar 'tsx'; did you mean 'XTSE'?"),
        ("feeds: {us: {provider: twelvedata, market_hours: {'*:LSE': {calendar: London}}}}", "1:71: feeds.us.market_hours.*:LSE.calendar: no exchange calendar 'London'; there are XAMS, XASX, XBRU, XCSE, XDUB, XETR, XFRA, XHEL, XHKG, XLIS, XLON, XMAD, XMIL, XNAS, XNYS, XOSL, XPAR, XSTO, XSWX, XTKS, XTSE, XWAR or XWBO"),
        ("alerts: [{symbol: A, above: 1, baseline: opening}]", "1:42: alerts[0].baseline: expected a duration such as 30s, armed, previous, open or close, got 'opening'; did you mean 'open'?"),
        ("portfolio: {AAPL: {shares: 5}}", "1:13: portfolio.AAPL.cost_basis: this key is missing"),
        ("listeners: [{event: price.spike, call: hooks}]", "1:40: listeners[0].call: expected package.module:function, got 'hooks'"),
        ("listeners: [{event: 'price.*.x', call: 'a:b'}]", "1:21: listeners[0].event: expected an event such as price.alert, a family such as price.*, or \"*\", got 'price.*.x'"),
        ("sinks: {a: {type: file, path: x, rotate: {size: 4MB}}}", "1:49: sinks.a.rotate.size: expected a size such as 4MiB or null, got '4MB'; did you mean 4MiB?"),
        ("sinks: {a: {type: webhook, url: 'https://x.org', allow_private: [ten]}}", "1:66: sinks.a.allow_private[0]: expected a network such as 10.0.0.0/8, got 'ten'"),
        ("sinks: {a: {type: webhook, url: 'https://x.org', allow_private: ten}}", "1:65: sinks.a.allow_private: expected true or false or a list such as [a, b], got 'ten'"),
        ("sinks: {a: {type: file, path: ''}}", "1:31: sinks.a.path: expected a path, got an empty text"),
        ("sinks: {'': {type: log}}", "1:9: sinks.: expected a name, got an empty text"),
        ("http: {listen: 'localhost'}", "1:16: http.listen: expected host:port or unix:/path, got 'localhost'"),
        ("http: {listen: 'localhost:99999'}", "1:16: http.listen: expected host:port or unix:/path, got 'localhost:99999'"),
        ("http: {listen: 'unix:here.sock'}", "1:16: http.listen: expected the whole path of the socket, unix:/path"),
        ("http: {tls: {cert_file: a.pem}}", "1:8: http.tls.key_file: this key is missing"),
        ("feeds: {a: {provider: 5}}", '1:23: feeds.a.provider: expected text, got the number 5; as text it is quoted: "5"'),
        ("plugin_paths: x", "1:15: plugin_paths: expected a list such as [a, b], got 'x'"),
        ("tests: [{name: a}]", "1:9: tests[0].ticks: this key is missing"),
        ("[1, 2]", "1:1: expected a mapping of keys, got a list"),
        ("just words", "1:1: expected a mapping of keys, got 'just words'"),
        ("a: [1", "1:6: a bracket is not closed"),
    ],
)  # fmt: skip
def test_a_bad_value_is_told_in_plain_words_at_its_place(problems_of: Problems, text: str, problem: str) -> None:
    assert f"c.yaml:{problem}" in problems_of(text)


def test_values_from_the_environment_are_read_as_what_is_wanted(load_text: Load) -> None:
    settings = load_text(
        """
        feeds: {us: {provider: twelvedata, api_key: "${KEY}", symbols: ["${SYMBOL}"]}}
        stream: {history: {size: "${SIZE}", enabled: "${ON}"}}
        shutdown_timeout: ${WAIT}
        http:
          auth_token: ${TOKEN}
          auth_token_file: ${TOKEN_FILE:-}
          listen: ${HOST:-127.0.0.1}:${PORT:-9000}
        """,
        KEY="0123",
        SYMBOL="600519",
        SIZE="7",
        ON="false",
        WAIT="5",
        TOKEN="1e3",
    ).settings
    assert settings.feeds["us"].api_key == Secret("0123")
    assert settings.feeds["us"].symbols == ("600519",)
    assert (settings.stream.history.size, settings.stream.history.enabled) == (7, False)
    assert settings.shutdown_timeout == 5
    assert settings.http.auth_token == Secret("1e3")
    assert settings.http.auth_token_file is None
    assert settings.http.listen == "127.0.0.1:9000"


def test_what_the_environment_holds_is_never_read_as_yaml(load_text: Load) -> None:
    settings = load_text(
        "logging: {level: info}\nhttp:\n  allowed_hosts: ['${X}']\n  auth_token: ${Y}",
        X="a",
        Y="b\nlogging: {level: debug}",
    )
    assert settings.settings.logging.level == "info"
    assert settings.settings.http.auth_token == Secret("b\nlogging: {level: debug}")


CANARY = "canary-9f8e7d"


@pytest.mark.parametrize(
    "text",
    [
        "feeds: {us: {provider: twelvedata, api_key: [CANARY]}}",
        "feeds: {us: {provider: twelvedata, api_key: {CANARY: CANARY}}}",
        "feeds: {us: {provider: twelvedata, api_key_file: CANARY}}",
        "feeds: {us: {provider: twelvedata, apikey: CANARY}}",
        "feeds: {us: {provider: twelvedata, endpoint: 'ftp://x.org/?apikey=CANARY'}}",
        "feeds: {us: {provider: twelvedata, endpoint: 'ws://x.org/?apikey=CANARY'}}",
        "feeds: {us: {provider: twelvedata, proxy: CANARY}}",
        "feeds: {us: {provider: generic, on_open: CANARY}}",
        "feeds: {us: {provider: generic, headers: CANARY}}",
        "feeds: {us: {provider: '${SECRET}'}}",
        "feeds: {us: {provider: twelvedata, api_key: '${SECRET}', symbols: '${SECRET}', backup: '${SECRET}'}}",
        "feeds: {us: {provider: twelvedata, connect_timeout: '${SECRET}', max_message_size: '${SECRET}'}}",
        "feeds: {us: {provider: twelvedata, market_hours: '${SECRET}', heartbeat: {enabled: '${SECRET}'}}}",
        "feeds: {us: {provider: twelvedata, market_hours: {timezone: '${SECRET}', open: '${SECRET}', close: '1'}}}",
        "alerts: [{symbol: A, above: '${SECRET}', notify: ['${SECRET}'], expires: '${SECRET}'}]",
        "alerts: [{symbol: A, change_percent: '${SECRET}', when: '${SECRET}', once: '${SECRET}'}]",
        "sinks: {a: {type: '${SECRET}'}}",
        "sinks: {a: {type: redis, url: CANARY}}",
        "sinks: {a: {type: notify, urls: CANARY}}",
        "sinks: {a: {type: notify, urls: [CANARY]}}",
        "sinks: {a: {type: call, call: '${SECRET}', events: ['${SECRET}!']}}",
        "http: {listen: '${SECRET}', auth_token: [CANARY], allowed_hosts: ['${SECRET}!']}",
        "stream: {history: {size: '${SECRET}'}, bars: ['${SECRET}']}",
        "listeners: [{event: '${SECRET} ', call: '${SECRET}', priority: '${SECRET}'}]",
    ],
)
def test_no_message_holds_the_text_of_a_secret(load_text: Load, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_text(text.replace("CANARY", CANARY), SECRET=CANARY)
    chain = [raised.value, raised.value.__cause__, raised.value.__context__]
    told = "\n".join(
        f"{error} {error!r}" for error in chain if not (error is chain[2] and raised.value.__suppress_context__)
    )
    assert CANARY not in told.replace(f"api_key.{CANARY}", "")


def test_settings_and_warnings_do_not_show_a_secret(load_text: Load) -> None:
    loaded = load_text(
        """
        feeds: {us: {provider: twelvedata, api_key: canary-9f8e7d, symbols: [A], proxy: "http://u:canary-9f8e7d@h:1"}}
        sinks: {a: {type: redis, url: "redis://:canary-9f8e7d@h"}}
        http: {auth_token: "${SECRET}"}
        """,
        SECRET=CANARY,
    )
    assert CANARY not in f"{loaded!r} {loaded.settings} {json.dumps([str(warning) for warning in loaded.warnings])}"
    assert loaded.settings.feeds["us"].api_key == Secret(CANARY)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "cannot be read (No such file or directory): name another file with --config"),
        (lambda path: path.mkdir(), "cannot be read (Is a directory): name the file in it with --config"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_a_remedy(tmp_path: Path, make: object, told: str) -> None:
    path = tmp_path / "c.yaml"
    assert callable(make)
    make(path)
    with pytest.raises(ConfigError) as raised:
        load(path, environ={})
    assert str(raised.value).startswith(f"{path}: {told}")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything: while inside, it is nobody."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_file_that_may_not_be_read_is_told_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.touch(mode=0)
    tmp_path.chmod(0o755)
    with as_nobody(), pytest.raises(ConfigError) as raised:
        load(path, environ={})
    assert "cannot be read" in str(raised.value)
    assert "let the user who runs this read it" in str(raised.value)


def test_the_file_of_an_authority_that_cannot_be_used_is_told_of_in_its_place(load_text: Load, tmp_path: Path) -> None:
    text = """
        feeds:
          us: {provider: twelvedata, api_key: k, symbols: [A], tls: {ca_file: ca.pem}}
        """
    for content, why in ((None, "No such file or directory"), ("no certificate", "")):
        if content is not None:
            (tmp_path / "ca.pem").write_text(content)
        with pytest.raises(ConfigError) as refused:
            load_text(text)
        (problem,) = refused.value.problems
        assert problem.key == "feeds.us.tls.ca_file"
        assert problem.line == 2
        assert f"cannot use the certificates in {tmp_path / 'ca.pem'}: {why}" in problem.message
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    assert load_text(text).settings.feeds["us"].tls.ca_file == tmp_path / "ca.pem"


def test_a_relative_path_begins_where_its_kind_begins(load_text: Load, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    settings = load_text(
        """
        feeds:
          us:
            provider: twelvedata
            api_key: k
            watchlist: {sql: {url: "sqlite:///list.db", query: SELECT 1}}
            tls: {ca_file: ca.pem}
        sinks: {f: {type: file, path: out/e.jsonl}, g: {type: file, path: /abs/e.jsonl}}
        plugin_paths: [plugins, /opt/plugins]
        http: {tls: {cert_file: c.pem, key_file: /k.pem}}
        """,
        STATE_DIRECTORY="/var/lib/x:/var/lib/y",
    ).settings
    us = settings.feeds["us"]
    assert us.tls.ca_file == tmp_path / "ca.pem"
    assert us.watchlist
    assert us.watchlist.sql
    assert us.watchlist.sql.url.reveal() == f"sqlite:///{tmp_path}/list.db"
    assert [getattr(sink, "path", None) for sink in settings.sinks.values()] == [
        Path("/var/lib/x/out/e.jsonl"),
        Path("/abs/e.jsonl"),
    ]
    assert settings.plugin_paths == (tmp_path / "plugins", Path("/opt/plugins"))
    assert settings.state.path == Path("/var/lib/x/state.db")
    assert settings.http.tls
    assert settings.http.tls.cert_file == tmp_path / "c.pem"


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"STATE_DIRECTORY": "/a:/b", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/a"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/price-stream"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/price-stream"),
        ({"HOME": "/h"}, "/h/.local/state/price-stream"),
        ({}, str(Path.home() / ".local/state/price-stream")),
    ],
)
def test_the_state_directory_is_where_the_system_says(environ: dict[str, str], folder: str) -> None:
    assert state_directory(environ) == Path(folder)


def test_the_file_is_looked_for_in_the_named_order(tmp_path: Path) -> None:
    system, local, given = tmp_path / "etc.yaml", tmp_path / "local.yaml", tmp_path / "conf"
    environ = {"CONFIGURATION_DIRECTORY": str(given)}
    with pytest.raises(
        ConfigError, match=r"neither .*conf/etc\.yaml nor .*etc\.yaml nor .*local\.yaml; name one with --config"
    ):
        find_config(None, environ, system=system, local=local)
    local.touch()
    assert find_config(None, environ, system=system, local=local) == local
    system.touch()
    assert find_config(None, {}, system=system, local=local) == system
    given.mkdir()
    (given / system.name).touch()
    assert find_config(None, environ, system=system, local=local) == given / system.name
    assert find_config("missing.yaml", environ, system=system, local=local) == Path("missing.yaml")


def test_what_shows_later_can_still_be_told_with_its_place(load_text: Load) -> None:
    loaded = load_text(FEED + "alerts:\n  - {symbol: AAPL, above: 1}\n  - {symbol: AAPL, above: 2}\n", K="k")
    problem = loaded.problem("alerts[1]", "no")
    assert (problem.line, problem.column, problem.key) == (4, 5, "alerts[1]")
    assert loaded.problem("alerts[0].symbol", "x").column == 14
    assert loaded.problem("nowhere", "x").line == 1


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("feeds: {us: {provider: twelvedata, api_key: '${K}', symbol: AAPL}}", "symbols"),
        ("feeds: {us: {provider: twelvedata, api_key: '${K}', api_keys: AAPL}}", "api_key"),
        ("feeds: {us: {provider: twelvedata, api_key: '${K}', max_delay: 5s}}", "reconnect.max_delay"),
        ("listen: 127.0.0.1:9777", "http.listen"),
        ("sinks: {f: {type: file, path: x, symbol: A}}", "symbols"),
        ("alerts: [{symbol: A, above: 1, from: '09:30'}]", "active.from"),
    ],
)
def test_an_unknown_key_is_first_of_all_one_beside_it_mistyped(problems_of: Problems, text: str, meant: str) -> None:
    assert any(problem.endswith(f": unknown key; did you mean '{meant}'?") for problem in problems_of(text, K="k"))


NOT_HERE = """
feeds: {us: {provider: ours, api_key: "${KEY}", api_secret_file: /nonexistent, symbols: [A], connect_timeout: "${T}"}}
sinks: {a: {type: redis, url: "${REDIS}"}, b: {type: file, path: x}, c: {type: file, path: x}}
http: {listen: "${HOST}"}
alerts: [{symbol: A, above: 1, notify: [a], hysteresis: 1%}]
stream: {min_change_percent: 0.5, bars: [1m]}
"""


def test_sections_without_a_use_cannot_be_wrong(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(NOT_HERE)
    loaded = load(path, environ={}, feeds_required=False, sections=("stream", "alerts"))
    assert loaded.settings.stream.min_change_percent == 0.5
    assert loaded.settings.feeds == {}
    assert loaded.settings.sinks == {}
    assert len(loaded.alert_rules) == 1
    assert [warning.key for warning in loaded.warnings] == ["stream.bars"]
    with pytest.raises(ConfigError) as raised:
        load(path, environ={}, feeds_required=False)
    assert len(raised.value.problems) == 7


def test_a_section_with_a_use_and_a_section_that_is_unknown_can_be_wrong(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(NOT_HERE + "plugin_paths: 5\nallerts: 5\nfeds: {}\n")
    with pytest.raises(ConfigError) as raised:
        load(path, environ={}, sections=("stream", "alerts"), feeds_required=False)
    assert [problem.key for problem in raised.value.problems] == ["allerts", "feds"]


def test_a_list_whose_only_entry_is_unset_has_one_fault(problems_of: Problems) -> None:
    (problem,) = problems_of('sinks: {phone: {type: notify, urls: ["${NOTIFY_URL}"]}}')
    assert "sinks.phone.urls[0]: the environment has no NOTIFY_URL" in problem
    (problem,) = problems_of("sinks: {phone: {type: notify, urls: []}}")
    assert problem.endswith("sinks.phone.urls: expected at least one entry")


@pytest.mark.parametrize(
    ("faulty", "warned"),
    [
        ("connect_timeout: soon", ["feeds.us.api_key", "feeds.us.api_secret", "stream.bars"]),
        ("connect_timeout: '${WAIT}'", ["feeds.us.api_key", "feeds.us.api_secret", "stream.bars"]),
        ("conect_timeout: 3s", ["feeds.us.api_key", "feeds.us.api_secret", "stream.bars"]),
        ("symbols: [{}]", ["feeds.us.api_key", "feeds.us.api_secret", "stream.bars"]),
        # A rule's fault, and one that leaves nothing of the feed.
        ("backup: nobody", ["feeds.us.api_key", "feeds.us.api_secret", "stream.bars"]),
        ("watchlist: {file: w, sql: 3}", ["feeds.us.api_key", "feeds.us.api_secret", "stream.bars"]),
    ],
)
def test_an_error_comes_with_the_warnings_of_the_same_reading(load_text: Load, faulty: str, warned: list[str]) -> None:
    text = f"""
    feeds:
      us:
        provider: twelvedata
        api_key: written-out-here
        api_secret: ${{SECRET:-x}}
        {faulty}
    stream: {{bars: [1m]}}
    """
    with pytest.raises(ConfigError) as raised:
        load_text(text)
    keys = [warning.key for warning in raised.value.warnings]
    assert sorted(key for key in keys if key != "feeds.us") == warned
    lines = [warning.line for warning in raised.value.warnings]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    "text", ["[]", "3", "feeds: 3", "alerts: [3, {abov: 1, cooldown: 1m}]", "feeds: {us: {symbols: [A]}}"]
)
def test_whatever_is_wrong_the_warnings_are_looked_for(load_text: Load, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_text(text)
    assert isinstance(raised.value.warnings, tuple)
