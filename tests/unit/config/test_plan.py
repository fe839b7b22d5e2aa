"""Old configuration times new one: what has to change."""

from collections.abc import Callable

import pytest

from pricestreamd.config.plan import Changes, SymbolChanges, plan
from pricestreamd.model.errors import ConfigError
from pricestreamd.stream.settings import AlertSettings
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
    assert changes == Changes(symbols={"us": SymbolChanges(added=("GOOGL", "AMZN"), removed=("MSFT",))})
    assert changes


def test_order_and_case_of_symbols_change_nothing_on_the_wire(changed: Change) -> None:
    assert changed(("[AAPL, MSFT]", "[msft, AAPL]")) == Changes()


def test_a_symbol_can_move_from_one_feed_to_another(changed: Change) -> None:
    changes = changed(("[AAPL, MSFT]", "[AAPL]"), ("[SAP]", "[SAP, MSFT]"))
    assert changes.symbols == {"us": SymbolChanges((), ("MSFT",)), "eu": SymbolChanges(("MSFT",), ())}


def test_a_named_alert_stays_the_same_alert_when_it_changes(changed: Change) -> None:
    (pair,) = changed(("above: 1}", "above: 1, notify: [f]}")).alerts_changed
    assert pair == (
        AlertSettings(name="a", symbol="AAPL", above=1),
        AlertSettings(name="a", symbol="AAPL", above=1, notify=("f",)),
    )


def test_an_alert_without_a_name_is_another_one_when_it_changes(changed: Change) -> None:
    changes = changed(("above: 2}", "above: 5}"))
    assert changes.alerts_removed == (AlertSettings(symbol="MSFT", above=2),)
    assert changes.alerts_added == (AlertSettings(symbol="MSFT", above=5),)
    assert changes.alerts_changed == ()


def test_alerts_come_and_go(changed: Change) -> None:
    changes = changed(("name: a,", "name: b,"), ("  - {symbol: MSFT, above: 3}\n", ""))
    assert [alert.name for alert in changes.alerts_added] == ["b"]
    assert [(alert.name, alert.above) for alert in changes.alerts_removed] == [("a", 1), (None, 3)]


def test_the_order_of_alerts_changes_nothing(changed: Change) -> None:
    assert not changed(("above: 2}", "above: x}"), ("above: 3}", "above: 2}"), ("above: x}", "above: 3}"))


def test_stream_settings_change_live(changed: Change) -> None:
    assert changed(("sinks:", "stream: {spike: {percent: 1}}\nsinks:")) == Changes(stream=True)


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        ("[SAP]", "[SAP], connect_timeout: 5s, endpoint: 'ws://127.0.0.1:1'", ("feeds.eu.endpoint", "feeds.eu.connect_timeout")),
        ('  eu: {provider: twelvedata, api_key: "${K}", symbols: [SAP]}\n', "", ("feeds.eu",)),
        ("path: x", "path: y", ("sinks.f.path",)),
        ("{f: {type: file, path: x}}", "{f: {type: log}}", ("sinks.f",)),
        ("{f: {type: file, path: x}}", "{g: {type: file, path: x}}", ("sinks.f", "sinks.g")),
        ("sinks:", "logging: {level: debug, format: json}\nsinks:", ("logging.format",)),
        ("sinks:", "http: {allowed_hosts: [a]}\nsinks:", ("http.allowed_hosts",)),
        ("sinks:", "listeners: [{event: a, call: 'a:b'}]\nsinks:", ("listeners",)),
    ],
)  # fmt: skip
def test_everything_else_is_named_for_the_next_start(
    changed: Change, before: str, after: str, keys: tuple[str, ...]
) -> None:
    changes = changed((before, after))
    assert changes.restart == keys
    assert changes.refused == ()


def test_what_is_asked_for_each_time_changes_live(changed: Change) -> None:
    assert (
        changed(("sinks:", "shutdown_timeout: 3s\nerrors: {cooldown: 5s}\nlogging: {level: debug}\nsinks:"))
        == Changes()
    )


def test_a_feed_takes_a_changed_key_and_changed_timing_while_it_runs(changed: Change) -> None:
    assert changed(key="canary-key") == Changes()
    timing = "[SAP], reconnect: {max_delay: 5s}, heartbeat: {interval: 20s}, stale_after: {connection: 90s}"
    assert changed(("[SAP]", timing)) == Changes()


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
