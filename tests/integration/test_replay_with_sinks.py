"""`replay --with-sinks`: the sinks and listeners of a configuration get the events; state is neither read nor written."""

import json
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.cli.main import main

CONFIG = """\
stream: {suspect: null}
alerts:
  - {name: high, symbol: A, above: 2, notify: [alerts]}
sinks:
  alerts: {type: file, path: alerts.jsonl, events: [price.spike]}
  all: {type: file, path: all.jsonl, events: [price.update, price.change]}
listeners:
  - {event: price.alert, call: "replay_hooks_under_test:hear"}
  - {event: price.alert, call: "replay_hooks_under_test:hear_later"}
plugin_paths: [hooks]
"""
HOOKS = """\
from pathlib import Path

heard = Path("heard")

def hear(event):
    with heard.open("a") as file:
        file.write(f"now {event.alert_id}\\n")

async def hear_later(event):
    with heard.open("a") as file:
        file.write(f"later {event.alert_id}\\n")
"""


class Replay:
    """Runs `replay` in this process on a file of 2,000 ticks, half of which are firings."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capfd = capfd
        (folder / "hooks").mkdir()
        (folder / "hooks" / "replay_hooks_under_test.py").write_text(HOOKS)
        rows = "".join(f"{n},A,{1 + n % 2}\n" for n in range(2000))
        (folder / "ticks.csv").write_text(f"timestamp,symbol,price\n{rows}")

    def __call__(self, *more: str | Path, config: str | None = CONFIG) -> tuple[int, str, str]:
        path = self.folder / "c.yaml"
        if config is not None:
            path.write_text(config)
        code = main(["replay", str(self.folder / "ticks.csv"), "--config", str(path), *map(str, more)])
        captured = self._capfd.readouterr()
        return code, captured.out, captured.err

    def written(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "state" / name).read_text().splitlines()]


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Replay:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(str(tmp_path))
    return Replay(tmp_path, capfd)


def test_sinks_get_what_the_daemon_would_give_them(replay: Replay) -> None:
    code, out, err = replay("--with-sinks", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    alerts, everything = replay.written("alerts.jsonl"), replay.written("all.jsonl")
    assert {event["event"] for event in everything} == {"price.update", "price.change"}
    assert sum(event["event"] == "price.update" for event in everything) == told["ticks"] == 2000
    # The sink that the alert names gets it, whatever its `events`; the other does not.
    assert sum(event["event"] == "price.alert" for event in alerts) == told["alerts"]["high"] == 1000
    assert all(event["id"].startswith("replay-") for event in alerts)
    delivery = told["delivery"]
    assert delivery["sinks"]["all"] == {
        "received": len(everything), "delivered": len(everything), "dropped": delivery["sinks"]["all"]["dropped"], "left": 0,
    }  # fmt: skip
    assert set(delivery["sinks"]["all"]["dropped"].values()) == {0}
    assert delivery["lost"] == 0


def test_listeners_hear_every_event_whether_they_wait_or_not(replay: Replay) -> None:
    _, out, _ = replay("--with-sinks", "--json")
    heard = (replay.folder / "heard").read_text().splitlines()
    assert heard.count("now high") == heard.count("later high") == 1000
    assert json.loads(out)["delivery"]["listeners"] == {
        "replay_hooks_under_test:hear": {"errors": 0, "dropped": 0},
        "replay_hooks_under_test:hear_later": {"errors": 0, "dropped": 0},
    }


def test_state_is_neither_read_nor_written(replay: Replay) -> None:
    state = replay.folder / "state" / "state.db"
    replay("--with-sinks")
    assert not state.exists()
    state.write_bytes(b"not a database")
    assert replay("--with-sinks")[0] == 0
    assert state.read_bytes() == b"not a database"
    assert sorted(entry.name for entry in state.parent.iterdir()) == ["alerts.jsonl", "all.jsonl", "state.db"]


def test_without_the_flag_nobody_gets_anything(replay: Replay) -> None:
    code, out, _ = replay("--json")
    assert (code, "delivery" in json.loads(out)) == (0, False)
    assert not (replay.folder / "state").exists()
    assert not (replay.folder / "heard").exists()


def test_the_events_are_the_same_with_and_without_sinks(replay: Replay) -> None:
    one, other = replay.folder / "one.jsonl", replay.folder / "other.jsonl"
    replay("--events", one)
    replay("--events", other, "--with-sinks")
    assert one.read_bytes() == other.read_bytes()


def test_the_summary_tells_what_each_sink_got(replay: Replay) -> None:
    _, out, _ = replay("--with-sinks", "--speed", "1e6")
    table = [line.split() for line in out[out.index("sinks") :].splitlines()]
    assert table[0] == ["sinks", "received", "delivered", "dropped", "left"]
    assert {row[0]: row[3:] for row in table[1:3]} == {"alerts": ["0", "0"], "all": ["0", "0"]}
    assert table[3] == ["listeners", "errors", "dropped"]


def test_what_a_sink_could_not_take_is_told_and_the_code_is_75(replay: Replay) -> None:
    (replay.folder / "state").write_text("a file where a folder should be")
    code, out, err = replay("--with-sinks", "--json", config=f"{CONFIG}shutdown_timeout: 300ms\n")
    assert code == 75
    delivery = json.loads(out)["delivery"]
    assert delivery["lost"] == sum(one["received"] for one in delivery["sinks"].values()) > 2000
    assert "sink all" in err


def test_a_function_that_is_not_there_is_an_error_of_the_configuration(replay: Replay) -> None:
    code, _, err = replay("--with-sinks", config=CONFIG.replace(":hear_later", ":hear_nothing"))
    assert code == 78
    assert "listeners[1].call: replay_hooks_under_test:hear_nothing cannot be imported" in err


def test_a_secret_that_a_sink_needs_has_to_be_there_only_with_the_flag(replay: Replay) -> None:
    config = CONFIG.replace("path: alerts.jsonl", "path: '${NOWHERE}'")
    assert replay(config=config)[0] == 0
    code, _, err = replay("--with-sinks", config=config)
    assert (code, "the environment has no NOWHERE" in err) == (78, True)


def test_sinks_need_a_configuration(tmp_path: Path, replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONFIGURATION_DIRECTORY", raising=False)
    code = main(["replay", str(tmp_path / "ticks.csv"), "--with-sinks"])
    assert code == 64


def test_a_configuration_without_sinks_and_listeners_says_so(replay: Replay) -> None:
    _, out, _ = replay("--with-sinks", config="stream: {}\n")
    assert out.splitlines()[-1] == "no sinks and no listeners in the configuration"
