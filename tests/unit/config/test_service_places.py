"""Where an installed service keeps its things, and what its commands take from there."""

from pathlib import Path

import pytest

from pricestreamd.config.service_places import load_beside, service_environ, service_places
from pricestreamd.model.errors import ConfigError

FEED = "feeds: {f: {provider: twelvedata, api_key: '${KEY}', symbols: [A]}}\n"


@pytest.mark.parametrize(
    ("config", "environment", "name", "unit"),
    [
        ("config.yaml", "env", "price-stream", "price-stream.service"),
        ("east.yaml", "east.env", "price-stream-east", "price-stream@east.service"),
        ("../price-stream/a.b.yaml", "a.b.env", "price-stream-a.b", "price-stream@a.b.service"),
    ],
)
def test_the_path_tells_the_service(config: str, environment: str, name: str, unit: str) -> None:
    places = service_places(Path("/etc/price-stream", config))

    assert places is not None
    assert places.environment == Path("/etc/price-stream", environment)
    assert (places.state, places.runtime) == (Path("/var/lib", name), Path("/run", name))
    assert places.credentials == Path("/run/credentials", unit)


@pytest.mark.parametrize(
    "config", ["config.yaml", "/etc/config.yaml", "/etc/price-stream/x/config.yaml", "/etc/price-stream/env"]
)
def test_any_other_file_is_no_services(config: str) -> None:
    environ = {"A": "1"}
    assert service_places(Path(config)) is None
    assert service_environ(Path(config), environ) is environ


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "etc/price-stream"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(FEED)
    return folder / "config.yaml"


def test_the_environment_of_the_process_wins_then_the_file_then_the_folders(config: Path, tmp_path: Path) -> None:
    config.with_name("env").write_text("A=file\nB=file\nRUNTIME_DIRECTORY=/elsewhere\n")

    found = service_environ(config, {"A": "own"}, tmp_path)

    assert found == {
        "A": "own",
        "B": "file",
        "RUNTIME_DIRECTORY": "/elsewhere",
        "STATE_DIRECTORY": str(tmp_path / "var/lib/price-stream"),
        "CREDENTIALS_DIRECTORY": str(tmp_path / "run/credentials/price-stream.service"),
    }


def test_a_configuration_finds_its_keys_and_its_state(config: Path, tmp_path: Path) -> None:
    config.with_name("env").write_text("KEY='the key'\n")

    settings = load_beside(config, {"HOME": "/nowhere"}, root=tmp_path).settings

    assert settings.feeds["f"].api_key is not None
    assert settings.feeds["f"].api_key.reveal() == "the key"
    assert settings.state.path == tmp_path / "var/lib/price-stream/state.db"


def test_a_credential_is_found_where_systemd_has_it(config: Path, tmp_path: Path) -> None:
    config.write_text(FEED.replace("api_key: '${KEY}'", "api_key_file: '${CREDENTIALS_DIRECTORY}/key'"))
    folder = tmp_path / "run/credentials/price-stream.service"
    folder.mkdir(parents=True)
    (folder / "key").write_text("the key\n")

    key = load_beside(config, {}, root=tmp_path).settings.feeds["f"].api_key

    assert key is not None
    assert key.reveal() == "the key"


def test_without_an_environment_file_what_lacks_is_told_of_and_nothing_else(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_beside(config, {}, root=tmp_path)
    assert [problem.key for problem in caught.value.problems] == ["feeds.f.api_key"]
