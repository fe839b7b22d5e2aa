"""What is accepted and ignored is told of, once each."""

import pytest

from pricestreamd.config.built import NOT_BUILT_KEYS, NOT_BUILT_PROVIDERS
from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import arms, choose, is_class, is_list, is_mapping, item, settings_of
from pricestreamd.config.suggest import one_of
from pricestreamd.feeds.settings import PROVIDERS, FeedSettings
from pricestreamd.providers import catalogue as providers
from pricestreamd.sinks.settings import FileSinkSettings, SqliteSinkSettings
from tests.unit.config.conftest import Problems

EVERYTHING = """
feeds:
  us:
    provider: twelvedata
    api_key: ${K}
    api_secret: ${K}
    symbols: [AAPL]
  eu: {provider: twelvedata, api_key: "${K}", api_secret_file: key, symbols: [SAP]}
stream: {bars: [1m]}
alert_storm: {per_minute: 1}
portfolio: {AAPL: {shares: 1, cost_basis: 1}}
sinks:
  f: {type: file, path: x, rotate: {size: 1MiB}, compress: zstd, durable: true}
  s: {type: sqlite, path: y, retention: 1d}
state: {path: other.db}
"""


def exists(hint: object, parts: list[str]) -> bool:
    """Whether a pattern leads to a key."""
    if not parts:
        return True
    for arm in arms(hint):
        if (is_list(arm) or is_mapping(arm)) and parts[0] == "*" and exists(item(arm), parts[1:]):
            return True
        if is_class(arm) and parts[0] in settings_of(arm) and exists(settings_of(arm)[parts[0]].hint, parts[1:]):
            return True
    return False


@pytest.mark.parametrize("pattern", NOT_BUILT_KEYS)
def test_each_line_of_the_table_is_a_key(pattern: str) -> None:
    assert exists(Settings, pattern.split("."))


def test_each_key_that_is_not_built_is_told_of_exactly_once(warnings_of: Problems, tmp_path: object) -> None:
    (tmp_path / "key").write_text("k")  # type: ignore[operator]  # a Path
    (tmp_path / "key").chmod(0o600)  # type: ignore[operator]  # a Path
    told = warnings_of(EVERYTHING.lstrip("\n"), K="k")
    assert all(line.endswith(": not built yet: ignored") for line in told)
    keys = [line.split(": ")[1] for line in told]
    assert len(set(keys)) == len(keys)
    patterns = {
        key.replace("feeds.us", "feeds.*").replace("feeds.eu", "feeds.*")
        .replace("sinks.f", "sinks.*").replace("sinks.s", "sinks.*")
        for key in keys
    }  # fmt: skip
    assert patterns == set(NOT_BUILT_KEYS)
    assert "c.yaml:5:5: feeds.us.api_secret: not built yet: ignored" in told


def test_a_default_that_is_written_out_asks_for_nothing(warnings_of: Problems) -> None:
    text = """
        feeds:
          us: {provider: twelvedata, api_key: "${K}", symbols: [A], channel: null, market_hours: auto, backup: null,
               stale_after: {symbol: learned}, proxy: null}
        stream: {bars: []}
        alerts: [{symbol: A, above: 1, baseline: armed, cooldown: 0s, when: any}]
        alert_storm: {per_minute: 30}
        portfolio: {}
        sinks: {s: {type: sqlite, path: x, retention: null, durable: false}}
        state: {path: state.db}
        errors: {max_consecutive: 10, window: 5m, action: restart_feed, cooldown: 5s}
        deadman: {url: null}
        tests: []
        """
    assert warnings_of(text, K="k") == []


@pytest.mark.parametrize("provider", sorted(NOT_BUILT_PROVIDERS - {"generic"}))
def test_a_provider_that_is_not_built_is_an_error_where_a_feed_is_needed(
    problems_of: Problems, warnings_of: Problems, provider: str
) -> None:
    text = f"feeds: {{us: {{provider: {provider}, api_key: '${{K}}', symbols: [A]}}}}"
    built = one_of(name for name in PROVIDERS if name in providers.BUILT_IN)
    message = f"provider {provider} is not built yet: this version knows {built}"
    assert problems_of(text, feeds_required=True, K="k") == [f"c.yaml:1:24: feeds.us.provider: {message}"]
    assert warnings_of(text, K="k") == ["c.yaml:1:24: feeds.us.provider: not built yet: ignored"]


def test_the_table_says_what_the_catalogues_have() -> None:
    assert set(PROVIDERS) - NOT_BUILT_PROVIDERS == set(providers.BUILT_IN)


def test_of_several_classes_the_data_tells_which() -> None:
    classes = (SqliteSinkSettings, FileSinkSettings)
    assert choose(classes, {"type": "file"}) is FileSinkSettings
    assert choose(classes, {"path": "x"}) is None
    assert choose((FeedSettings,), {"anything": 1}) is FeedSettings
    assert choose((FeedSettings,), 5) is None
