"""Old configuration times new one: what has to change."""

from collections.abc import Callable

import pytest

from pricestreamd.config.plan import Changes, SymbolChanges, plan
from pricestreamd.model.errors import ConfigError
from tests.unit.config.conftest import Load

Change = Callable[..., Changes]

BASE = """
feeds:
  us: {provider: twelvedata, api_key: "${K}", symbols: [AAPL, MSFT]}
  eu: {provider: twelvedata, api_key: "${K}", symbols: [SAP]}
alerts:
  - {name: a, symbol: AAPL, above: 1}
  - {symbol: MSFT, above: 2}
  - {symbol: MSFT, above: 3}
sinks: {f: {type: file, path: x}}
"""


@pytest.fixture
def changed(load_text: Load) -> Change:
    """What changes when texts in the base configuration are replaced."""

    def changes(*replacements: tuple[str, str], key: str = "key") -> Changes:
        old = load_text(BASE, K="key").settings
        text = BASE
        for before, after in replacements:
            assert before in text
            text = text.replace(before, after)
        return plan(old, load_text(text, K=key).settings)

    return changes


def test_the_same_configuration_changes_nothing(changed: Change) -> None:
    assert not changed()
    assert changed() == Changes()


def test_symbols_are_added_and_removed_by_feed(changed: Change) -> None:
    changes = changed(("[AAPL, MSFT]", "[GOOGL, AAPL, AMZN]"))
    symbols = {"us": SymbolChanges(added=("GOOGL", "AMZN"), removed=("MSFT",))}
    assert changes == Changes(symbols=symbols, changed=("feeds.us.symbols",))
    assert changes


def test_order_and_case_of_symbols_change_nothing_on_the_wire(changed: Change) -> None:
    assert not changed(("[AAPL, MSFT]", "[msft, AAPL]")).symbols


def test_a_symbol_can_move_from_one_feed_to_another(changed: Change) -> None:
    changes = changed(("[AAPL, MSFT]", "[AAPL]"), ("[SAP]", "[SAP, MSFT]"))
    assert changes.symbols == {"us": SymbolChanges((), ("MSFT",)), "eu": SymbolChanges(("MSFT",), ())}


def test_stream_settings_change_live(changed: Change) -> None:
    assert changed(("sinks:", "stream: {spike: {percent: 1}}\nsinks:")) == Changes(
        stream=True, changed=("stream.spike.percent",)
    )


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        ("path: x", "path: y", ("sinks.f.path",)),
        ("{f: {type: file, path: x}}", "{f: {type: log}}", ("sinks.f",)),
        ("{f: {type: file, path: x}}", "{g: {type: file, path: x}}", ("sinks.f", "sinks.g")),
        ("sinks:", "listeners: [{event: a, call: 'a:b'}]\nsinks:", ("listeners",)),
        ("above: 1}", "above: 1, notify: [f]}", ("alerts",)),
        ("  - {symbol: MSFT, above: 3}\n", "", ("alerts",)),
        ("sinks:", "shutdown_timeout: 3s\nsinks:", ("shutdown_timeout",)),
        ("sinks:", "errors: {cooldown: 5s}\nlogging: {level: debug}\nsinks:", ("errors.cooldown", "logging.level")),
        ("[SAP]", "[SAP], reconnect: {max_delay: 5s}", ("feeds.eu.reconnect.max_delay",)),
        ("[SAP]", "[SAP], stale_after: {connection: 90s}, heartbeat: {interval: 20s}",
            ("feeds.eu.heartbeat.interval", "feeds.eu.stale_after.connection")),
    ],
)  # fmt: skip
def test_what_counts_at_once_is_named(changed: Change, before: str, after: str, keys: tuple[str, ...]) -> None:
    assert changed((before, after)) == Changes(changed=keys)


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        ("sinks:", "logging: {format: json}\nsinks:", ("logging.format",)),
        ("sinks:", "logging: {stats_interval: 0}\nsinks:", ("logging.stats_interval",)),
        ("sinks:", "http: {tls: {cert_file: a, key_file: b}}\nsinks:", ("http.tls",)),
    ],
)
def test_what_waits_for_the_next_start_is_named(
    changed: Change, before: str, after: str, keys: tuple[str, ...]
) -> None:
    assert changed((before, after)) == Changes(restart=keys)


def test_a_key_that_changes_is_named_and_not_told(changed: Change) -> None:
    changes = changed(key="canary-key")
    assert changes.changed == ("feeds.us.api_key", "feeds.eu.api_key")
    assert not changes.feeds_replaced


def test_a_feed_that_changes_in_what_its_connection_is_made_of_is_replaced(changed: Change) -> None:
    changes = changed(("[SAP]", "[SAP], connect_timeout: 5s, endpoint: 'ws://127.0.0.1:1'"))
    assert changes == Changes(feeds_replaced=("eu",), changed=("feeds.eu.endpoint", "feeds.eu.connect_timeout"))


def test_a_feed_that_is_described_in_the_file_from_now_on_is_replaced(changed: Change) -> None:
    described = "provider: generic, endpoint: 'ws://127.0.0.1:1', subscribe: '{symbol}', symbol: s, price: p"
    before = 'eu: {provider: twelvedata, api_key: "${K}", symbols: [SAP]}'
    assert changed((before, f"eu: {{{described}, symbols: [SAP]}}")).feeds_replaced == ("eu",)


def test_feeds_come_and_go(changed: Change) -> None:
    changes = changed(("  eu: {", "  uk: {"))
    assert (changes.feeds_added, changes.feeds_removed, changes.feeds_replaced) == (("uk",), ("eu",), ())
    assert changes.changed == ("feeds.eu", "feeds.uk")


def test_what_cannot_change_refuses_the_reload_by_name(changed: Change) -> None:
    changes = changed(("sinks:", "http: {listen: 'localhost:1'}\nstate: {path: other.db}\nsinks:"))
    assert changes.refused == ("http.listen", "state.path")
    assert changes.restart == ()
    with pytest.raises(ConfigError) as raised:
        changes.refuse("c.yaml")
    assert str(raised.value).splitlines() == [
        "c.yaml: http.listen: cannot change while running: restart, or put the old value back",
        "c.yaml: state.path: cannot change while running: restart, or put the old value back",
    ]


def test_nothing_refused_refuses_nothing(changed: Change) -> None:
    changes = changed()
    changes.refuse("c.yaml")
    assert changes.refused == ()
