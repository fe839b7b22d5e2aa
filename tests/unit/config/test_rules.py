"""What one setting demands of another."""

import textwrap
from pathlib import Path

import pytest

from pricestreamd.config.forms import FORMS, is_loopback, split_listen
from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import arms, is_class, is_list, is_mapping, item, settings_of
from pricestreamd.stream.alert_rule import CONDITIONS
from pricestreamd.stream.settings import AlertSettings
from tests.support.distribution import install
from tests.unit.config.conftest import Load, Problems


def feed(name: str = "us", **keys: str) -> str:
    """One feed in one line, fit to be used but for `keys`."""
    given = {"provider": "twelvedata", "api_key": "'${K}'", "symbols": "[AAPL]"} | keys
    return f"  {name}: {{{', '.join(f'{key}: {value}' for key, value in given.items() if value)}}}\n"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"provider": "twelvdata"}, "provider: no provider 'twelvdata'; did you mean 'twelvedata'?"),
        (
            {"provider": "mine"},
            (
                "provider: no provider 'mine'; there are twelvedata, finnhub, alpaca, massive, binance, coinbase, kraken, "
                "iex, alphavantage or generic"
            ),
        ),
        ({"provider": ""}, "provider: this key is missing"),
        ({"api_key": ""}, ": twelvedata needs api_key or api_key_file"),
        ({"api_key": "'${EMPTY}'"}, ": twelvedata needs api_key or api_key_file"),
        ({"api_key": "null"}, ": twelvedata needs api_key or api_key_file"),
        (
            {"endpoint": "ws://example.org/x"},
            "endpoint: ws:// would send the key to example.org unencrypted: use wss://, or allow_plaintext: true",
        ),
        (
            {"endpoint": "http://127.0.0.1@example.org/", "allow_plaintext": "false"},
            "endpoint: http:// would send the key to example.org unencrypted: use https://, or allow_plaintext: true",
        ),
        ({"backup": "us"}, "backup: a feed cannot be its own backup"),
        ({"backup": "eu"}, "backup: no feed 'eu'"),
    ],
)
def test_a_feed_must_make_sense(problems_of: Problems, keys: dict[str, str], problem: str) -> None:
    (told,) = problems_of("feeds:\n" + feed(**keys), feeds_required=True, K="k", EMPTY="")
    dot = "" if problem.startswith(":") else "."
    assert told.endswith(f": feeds.us{dot}{problem}")


@pytest.mark.parametrize(
    "keys",
    [
        {"endpoint": "ws://127.0.0.1:1/x", "api_key": ""},
        {"endpoint": "ws://localhost/x"},
        {"endpoint": "'ws://[::1]:80/x'"},
        {"endpoint": "ws://example.org/x", "allow_plaintext": "true"},
        {"endpoint": "ws://example.org/x", "allow_plaintext": "'${YES}'"},
        {"endpoint": "wss://example.org/x"},
        {"endpoint": "null"},
    ],
)
def test_plaintext_is_for_this_machine_or_those_who_ask_for_it(load_text: Load, keys: dict[str, str]) -> None:
    assert load_text("feeds:\n" + feed(**keys), K="k", YES="true").settings.feeds


def test_a_provider_may_come_with_a_plugin(load_text: Load, problems_of: Problems, our_plugin: str) -> None:
    text = "feeds:\n" + feed(provider=our_plugin)
    assert load_text(text, K="k").settings.feeds["us"].provider == our_plugin
    (told,) = problems_of("feeds:\n" + feed(provider=our_plugin, api_key=""))
    assert told.endswith(f": feeds.us: {our_plugin} needs api_key or api_key_file")
    (told,) = problems_of("feeds:\n" + feed(provider=our_plugin[:-1]), K="k")
    assert told.endswith(f"; did you mean '{our_plugin}'?")


def test_a_plugin_that_cannot_be_used_is_told_of_by_its_distribution(
    load_text: Load, problems_of: Problems, broken_plugin: str
) -> None:
    (told,) = problems_of("feeds:\n" + feed(provider=broken_plugin), K="k")
    trouble = f"provider {broken_plugin!r} of the distribution acme-{broken_plugin} 1.0 cannot be used"
    assert told.startswith("c.yaml:2:18: feeds.us.provider: " + trouble)
    assert load_text("feeds:\n" + feed(), K="k").settings.feeds


@pytest.fixture
def our_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a provider that an installed distribution brings."""
    code = """
        from pricestreamd.providers.iex import PROFILE, Iex
        class Ours(Iex):
            profile = replace(PROFILE, name="config-rules")
    """
    code = "from dataclasses import replace\n" + textwrap.dedent(code)
    install(tmp_path, "config-rules", "config_rules_plugin:Ours", config_rules_plugin=code)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "config-rules"


@pytest.fixture
def broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a provider whose distribution lacks a module."""
    install(tmp_path, "config-broken", "nowhere_to_be_found:Adapter")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "config-broken"


def test_a_symbol_belongs_to_one_feed(problems_of: Problems) -> None:
    text = "feeds:\n" + feed("us", symbols="[MSFT, AAPL]") + feed("eu", symbols="[SAP, ' aapl']")
    assert problems_of(text, K="k") == [
        (
            "c.yaml:3:62: feeds.eu.symbols[1]: aapl is also a symbol of feed us (c.yaml:2:63): it belongs to one, unless "
            "one feed is the backup of the other"
        )
    ]


@pytest.mark.parametrize(("us", "eu"), [("eu", ""), ("", "us"), ("eu", "us")])
def test_a_backup_may_have_the_same_symbols(load_text: Load, us: str, eu: str) -> None:
    assert len(load_text("feeds:\n" + feed("us", backup=us) + feed("eu", backup=eu), K="k").settings.feeds) == 2


@pytest.mark.parametrize(
    ("alert", "problem"),
    [
        ("{above: 1}", "alerts[0]: an alert needs symbol or symbols"),
        ("{symbols: [], above: 1}", "alerts[0]: an alert needs symbol or symbols"),
        ("{symbol: A, symbols: [B], above: 1}", "alerts[0].symbols: there is symbol already; keep one of the two"),
        ("{symbol: A, above: null}", f"alerts[0]: an alert needs a condition: {', '.join(CONDITIONS[:-1])} or"),
        ("{symbol: A, above: 1, notify: [db, phone]}", "alerts[0].notify[1]: no sink 'phone'; there are log or db"),
    ],
)
def test_an_alert_must_make_sense(problems_of: Problems, alert: str, problem: str) -> None:
    (told,) = problems_of(f"sinks: {{db: {{type: log}}}}\nalerts: [{alert}]")
    assert problem in told


def test_two_alerts_cannot_share_a_name(problems_of: Problems) -> None:
    text = "alerts:\n" + 3 * "  - {name: a, symbol: A, above: 1}\n"
    assert problems_of(text) == [
        "c.yaml:3:12: alerts[1].name: another alert, in line 2, has this name already",
        "c.yaml:4:12: alerts[2].name: another alert, in line 2, has this name already",
    ]


def test_a_sink_of_the_log_need_not_be_configured_to_be_notified(load_text: Load) -> None:
    assert load_text("alerts: [{symbol: A, above: 1, notify: [log]}]").settings.alerts[0].notify == ("log",)


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("alerts: [{symbol: MSFT, above: 1}]", ["c.yaml:3:19: alerts[0].symbol: no feed has the symbol MSFT: the alert cannot fire"]),
        ("alerts: [{symbols: [aapl, X], above: 1}]", ["c.yaml:3:27: alerts[0].symbols[1]: no feed has the symbol X: the alert cannot fire"]),
        ("alerts: [{symbol: 'AA*', above: 1}]", []),
        ("alerts: [{symbol: 'B*', above: 1}]", ["c.yaml:3:19: alerts[0].symbol: no feed has the symbol B*: the alert cannot fire"]),
        ("alerts: [{symbol: AAPL, above: 1, below: 2}]", ["c.yaml:3:25: alerts[0].above: not more than below, so that one of the two is always true"]),
        ("alerts: [{symbol: AAPL, above: 2, below: 1}]", []),
    ],
)  # fmt: skip
def test_an_alert_that_cannot_work_is_told_of(warnings_of: Problems, text: str, warnings: list[str]) -> None:
    assert warnings_of("feeds:\n" + feed() + text, K="k") == warnings


def test_symbols_of_a_watchlist_are_not_known_yet(warnings_of: Problems) -> None:
    text = "feeds:\n" + feed(watchlist="{file: w.txt}") + "alerts: [{symbol: MSFT, above: 1}]"
    assert warnings_of(text, K="k") == []


def test_a_feed_without_symbols_and_a_symbol_listed_twice_are_told_of(warnings_of: Problems) -> None:
    assert warnings_of("feeds:\n" + feed(symbols="") + feed("eu", symbols="[SAP, sap]"), K="k") == [
        "c.yaml:2:3: feeds.us: has neither symbols nor a watchlist: it waits for symbols over the API",
        "c.yaml:3:62: feeds.eu.symbols[1]: sap is listed already",
    ]


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "':80'", "'[::]:80'", "192.168.1.1:80", "example.org:80"])
def test_beyond_this_machine_a_token_is_needed(problems_of: Problems, load_text: Load, listen: str) -> None:
    for token in ("", ", auth_token: ''", ", auth_token: null", ", auth_token: '${EMPTY}'"):
        assert problems_of(f"http: {{listen: {listen}{token}}}", EMPTY="") == [
            (
                "c.yaml:1:16: http.listen: listening beyond this machine needs auth_token, auth_token_file or "
                "tls.client_ca_file"
            )
        ]
    assert load_text(f"http: {{listen: {listen}, auth_token: '${{T}}'}}", T="token").settings.http.auth_token
    tls = "{cert_file: c, key_file: k, client_ca_file: ca}"
    assert load_text(f"http: {{listen: {listen}, tls: {tls}}}").settings.http.tls


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:80", "'[::1]:80'", "127.9.9.9:80", "unix:/run/x.sock"])
def test_on_this_machine_no_token_is_needed(load_text: Load, listen: str) -> None:
    assert load_text(f"http: {{listen: {listen}}}").settings.http.listen == listen.strip("'")


@pytest.mark.parametrize(("host", "answer"), [("localhost", True), ("a.localhost", True), ("127.1.2.3", True), ("::1", True), ("example.org", False), ("10.0.0.1", False), ("localhost.example.org", False)])  # fmt: skip
def test_loopback(host: str, *, answer: bool) -> None:
    assert is_loopback(host) is answer


@pytest.mark.parametrize(("text", "answer"), [("a:1", ("a", 1)), ("[::1]:80", ("[::1]", 80)), (":5", ("", 5)), ("::1", None), ("a:", None), ("a b:1", None)])  # fmt: skip
def test_listen_addresses(text: str, answer: tuple[str, int] | None) -> None:
    assert split_listen(text) == answer


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("calendar", ["XNYS", "XETR", "XAMS"], ["", "xnys", "NYSE", "XXXX"]),
        ("callable", ["a:b", "a.b.c:d.e", "_a1:b"], ["a", "a:", "a:b:c", "a b:c", "1:a", "a.:b"]),
        ("days", ["mon", "mon-fri", "mon,wed, sat-sun"], ["", "Monday", "mon-", "mon;tue"]),
        ("event", ["*", "price.*", "price.alert", "my-own.thing_1"], ["", "**", "*.alert", "price.", "price..x"]),
        ("feed-url", ["wss://h", "http://h:1/p?q"], ["h", "wss://", "ftp://h", "wss://h:0", "wss://h:x", "wss://h#f", "wss://[h"]),
        ("host", ["example.org", "example.org:80", "[::1]"], ["", "a b", "-a"]),
        ("listen", ["h:1", ":1", "unix:/x"], ["h", "unix:x", "h:70000"]),
        ("message-path", ["price", "data[0].p", "[0]", "a.b[1][2]"], ["", "a b", "a[x]", "a..b"]),
        ("name", ["a", "ä ö"], ["", " ", "a\nb", "x" * 129]),
        ("network", ["10.0.0.0/8", "::1"], ["ten", "10.0.0.1/8"]),
        ("provider", ["mine"], [""]),
        ("symbol", ["AAPL", "BTC/USD", "600519", "RY:TSX"], ["", "A\tB"]),
        ("timezone", ["America/New_York", "UTC"], ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime"]),
    ],
)  # fmt: skip
def test_forms(form: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if FORMS[form](text, "x")] == []
    assert [text for text in bad if not FORMS[form](text, "x")] == []


def every_class(hint: object) -> set[type]:
    """All settings classes that a type leads to."""
    found: set[type] = set()
    for arm in arms(hint):
        if is_list(arm) or is_mapping(arm):
            found |= every_class(item(arm))
        elif is_class(arm):
            found |= {arm}.union(*(every_class(setting.hint) for setting in settings_of(arm).values()))
    return found


def test_metadata_says_only_what_is_understood() -> None:
    known = {"key", "form", "path", "secret", "at_least", "above", "at_most", "entries"}
    for cls in every_class(Settings):
        for setting in settings_of(cls).values():
            assert set(setting.metadata) <= known, (cls, setting.key)
            assert setting.metadata.get("form", "name") in FORMS
            assert setting.metadata.get("path", "read") in ("read", "written")
            sorts = ("value", "url", "header", "text", "address", "inside", "file")
            assert setting.metadata.get("secret", "url") in sorts


def test_the_conditions_are_keys_of_an_alert() -> None:
    assert set(CONDITIONS) < set(settings_of(AlertSettings))
