"""The files that users begin with, and the documentation, can be loaded."""

import re
import time
from pathlib import Path

import pytest

from pricestreamd.config.built import NOT_BUILT_KEYS, NOT_BUILT_PROVIDERS
from pricestreamd.config.load import Loaded, load
from pricestreamd.config.settings import Settings
from pricestreamd.config.shape import settings_of
from pricestreamd.feeds.settings import FeedSettings
from tests.unit.config.conftest import Load
from tests.unit.config.test_rules import every_class

ROOT = Path(__file__).parents[3]
ENVIRON = {
    "WEBSOCKET_API_KEY": "key",
    "NOTIFY_URL": "ntfy://ntfy.example.org/topic",
    "STATE_DIRECTORY": "/var/lib/price-stream",
}
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE | re.DOTALL)


def sample(name: str) -> Loaded:
    return load(ROOT / "config" / name, environ=ENVIRON)


@pytest.mark.parametrize("name", ["minimal.yaml", "price-stream.yaml", "demo.yaml"])
def test_a_sample_names_its_schema_for_editors(name: str) -> None:
    first = (ROOT / "config" / name).read_text().partition("\n")[0]
    assert first == "# yaml-language-server: $schema=./schema.json"


def test_the_smallest_file_does_something() -> None:
    loaded = sample("minimal.yaml")
    assert loaded.warnings == ()
    assert loaded.settings.alerts
    assert len((ROOT / "config/minimal.yaml").read_text().splitlines()) < 15


def test_the_demo_needs_nothing_and_warns_of_nothing() -> None:
    loaded = load(ROOT / "config/demo.yaml", environ={"HOME": "/home/user"})
    assert loaded.warnings == ()
    feed = loaded.settings.feeds["demo"]
    assert feed.endpoint == "ws://127.0.0.1:9778/v1/quotes/price"
    assert feed.api_key
    assert feed.api_key.reveal()
    assert len(feed.symbols) == 12
    assert loaded.settings.http.listen == "127.0.0.1:9777"


def test_the_production_sample_has_the_values_of_production() -> None:
    settings = sample("price-stream.yaml").settings
    reconnect = settings.feeds["us-stocks"].reconnect
    assert (reconnect.initial_delay, reconnect.max_delay) == (2, 60)
    assert settings.stream.min_change_percent == 0.05
    assert settings.stream.history.size == 500
    assert settings.stream.spike.window == 300
    phone = settings.sinks["phone"]
    assert phone.type == "notify"
    assert "price.error" in phone.events


def test_the_production_sample_shows_every_key() -> None:
    text = (ROOT / "config/price-stream.yaml").read_text()
    classes = every_class(Settings) - {cls for cls in every_class(Settings) if "Generic" in cls.__name__}
    keys = {key for cls in classes for key in settings_of(cls)}
    assert {key for key in keys if not re.search(rf"(?<![\w]){key}:", text)} == set()


@pytest.mark.parametrize("text", BLOCKS)
def test_each_example_of_the_documentation_can_be_loaded(load_text: Load, text: str) -> None:
    # The key of an example is a name of the environment or of a file that the reader has.
    text = text.replace("api_key_file: ${CREDENTIALS_DIRECTORY:-/run/credentials}/twelvedata", "api_key: ${K}")
    loaded = load_text(text, K="key", KEY="key", WEBSOCKET_API_KEY="key", PRICESTREAM_TOKEN="token")
    assert loaded.warnings == ()


def test_the_documentation_names_every_key() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    keys = {key for cls in every_class(Settings) - {FeedSettings} for key in settings_of(cls)}
    inner = {"alert", "at", "channel", "days", "event", "expect", "key", "maxlen", "name", "price", "query", "ticks"}
    assert {key for key in keys - inner if not re.search(rf"\b{key}\b", text)} == set()


def test_the_documentation_marks_what_is_planned_and_nothing_else() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    marked = set(re.findall(r"`([\w]+)` \(planned\)", text))
    providers = NOT_BUILT_PROVIDERS & {"generic"}
    assert marked == {pattern.rpartition(".")[2] for pattern in NOT_BUILT_KEYS} | providers
    # Each is marked wherever a row begins with it.
    heads = [cells[1] for line in text.splitlines() if line.startswith("| `") and (cells := line.split("|"))]
    plain = {key for head in heads for key in re.findall(r"`([\w]+)`(?! \(planned\))", head)}
    assert plain & marked == set()
    types = NOT_BUILT_PROVIDERS
    named = " ".join(re.findall(r"\(planned: ([^)]*)\)", text))
    assert set(re.findall(r"`(\w+)`", named)) == types


def test_the_feed_that_the_documentation_shows_is_where_the_simulator_listens() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    (example,) = (block for block in BLOCKS if "simulated:" in block)
    (endpoint,) = re.findall(r"endpoint: (.*)", example)
    assert text.count(endpoint) == 3
    assert endpoint == load(ROOT / "config/demo.yaml", environ={"HOME": "/home/user"}).settings.feeds["demo"].endpoint


def test_a_small_file_loads_in_a_blink() -> None:
    sample("minimal.yaml")
    began = time.perf_counter()
    sample("minimal.yaml")
    assert time.perf_counter() - began < 0.15
