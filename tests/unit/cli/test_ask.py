"""Where a running daemon is asked."""

import argparse
from pathlib import Path

import pytest

from pricestreamd.cli.ask import target


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
