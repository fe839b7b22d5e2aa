"""Where a running daemon is asked."""

import argparse
from pathlib import Path

import pytest

from pricestreamd.cli.target import SERVICE_RUNTIME, target
from pricestreamd.model.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("127.0.0.1:9777", "http://127.0.0.1:9777"),
        ("localhost:9777/", "http://localhost:9777"),
        ("http://h:1/", "http://h:1"),
        ("https://h", "https://h"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
    ],
)
def test_an_address_without_a_scheme_is_http(url: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICESTREAM_URL", "http://elsewhere")
    assert target(argparse.Namespace(url=url, config=None)).address == address
    monkeypatch.setenv("PRICESTREAM_URL", url)
    assert target(argparse.Namespace(url=None, config=None)).address == address


def test_without_an_address_the_configuration_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRICESTREAM_URL", raising=False)
    path = tmp_path / "c.yaml"
    feed = "feeds: {f: {provider: twelvedata, api_key: k, symbols: [A]}}\n"
    path.write_text(feed + "http: {listen: '0.0.0.0:1234', auth_token: token}")
    asked = target(argparse.Namespace(url=None, config=str(path)))
    assert asked.address == "http://127.0.0.1:1234"
    assert asked.token
    assert asked.token.reveal() == "token"


def test_only_http_of_the_configuration_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PRICESTREAM_URL", "KEY", "PHONE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "c.yaml"
    path.write_text(
        """
feeds: {us: {provider: twelvedata, api_key: "${KEY}", symbols: [AAPL]}}
sinks: {phone: {type: notify, urls: ["${PHONE}"]}}
http: {listen: "127.0.0.1:1234"}
"""
    )
    assert target(argparse.Namespace(url=None, config=str(path))).address == "http://127.0.0.1:1234"


def test_without_any_configuration_the_usual_address_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PRICESTREAM_URL", "CONFIGURATION_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert target(argparse.Namespace(url=None, config=None)).address == "http://127.0.0.1:9777"


# --- the token for changes

CONFIG = "http: {listen: '127.0.0.1:1', auth_token: the-token}\nstate: {path: s/state.db}\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("PRICESTREAM_URL", "RUNTIME_DIRECTORY", "CONFIGURATION_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_the_file_is_beside_the_state_or_where_the_service_runs(config: str, tmp_path: Path) -> None:
    found = target(argparse.Namespace(url=None, config=config), change=True)
    assert found.token_files == (tmp_path / "s" / "http-token", SERVICE_RUNTIME / "http-token")


def test_the_runtime_directory_comes_first(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/mine")
    found = target(argparse.Namespace(url="127.0.0.1:1", config=None), change=True)
    assert found.token_files[0] == Path("/run/mine/http-token")


@pytest.mark.parametrize(
    ("url", "named", "change", "token", "files"),
    [
        ("http://prices.example", False, True, None, 0),
        ("http://prices.example", True, True, "the-token", 0),
        ("http://127.0.0.1:1", False, False, None, 0),
        ("http://127.0.0.1:1", False, True, "the-token", 2),
        ("http://[::1]:1", False, True, "the-token", 2),
        ("unix:/run/x.sock", False, True, "the-token", 3),
        ("http://[", False, True, None, 0),
        ("http://127.0.0.1.evil.example", False, True, None, 0),
        ("http://127.0.0.1@evil.example", False, True, None, 0),
    ],
)
def test_what_is_not_named_stays_on_this_machine(  # noqa: PLR0917 - one parameter for each column of the table
    config: str, tmp_path: Path, url: str, named: bool, change: bool, token: str | None, files: int
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "price-stream.yaml").write_text(CONFIG)
    found = target(argparse.Namespace(url=url, config=config if named else None), change=change)
    assert (found.token.reveal() if found.token else None) == token
    assert len(found.token_files) == files


def test_a_broken_configuration_matters_only_where_it_is_named(config: str, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for path in (Path(config), tmp_path / "config" / "price-stream.yaml"):
        path.write_text("http: [")
    found = target(argparse.Namespace(url="127.0.0.1:1", config=None), change=True)
    assert found.token_files == (SERVICE_RUNTIME / "http-token",)
    with pytest.raises(ConfigError):
        target(argparse.Namespace(url="127.0.0.1:1", config=config), change=True)
