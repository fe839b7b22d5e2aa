"""Watchlists at work: real files and state, feeds that are not connected, and the stream's board."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pricestreamd.config.settings import Settings
from pricestreamd.daemon.trouble import Trouble
from pricestreamd.daemon.watchlists import Watchlists
from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.feeds.settings import FeedSettings, WatchlistSettings, WatchlistSqlSettings
from pricestreamd.model.events import Event, Run
from pricestreamd.model.secret import Secret
from pricestreamd.state.store import ForeignStateError, StateStore
from pricestreamd.stream.alert_rule import AlertRule
from pricestreamd.stream.board import Board
from pricestreamd.stream.settings import StreamSettings
from tests.support.waiting import eventually


def feed(*symbols: str, watchlist: WatchlistSettings | None = None, backup: str | None = None) -> FeedSettings:
    return FeedSettings(
        provider="twelvedata", api_key=Secret("some-key"), symbols=symbols, watchlist=watchlist, backup=backup
    )


def of_file(path: Path, refresh: float = 0.05) -> WatchlistSettings:
    return WatchlistSettings(file=path, refresh=refresh)


class House:
    """The parts around the watchlists."""

    def __init__(self, folder: Path, feeds: dict[str, FeedSettings], state: Path | None = None) -> None:
        run = Run("test")
        self.feeds = FeedGroup(WebSocketClient.from_settings(name, each, run) for name, each in feeds.items())
        self.board = Board(StreamSettings())
        self.dispatcher = EventDispatcher(run)
        self.errors: list[Event] = []
        self.dispatcher.attach("price.error", self.errors.append, name="test")
        trouble = Trouble(self.dispatcher)
        self.store = StateStore(state or folder / "state.db", on_damage=trouble.state_damaged)
        self.watchlists = Watchlists(Settings(feeds=feeds), self.feeds, self.board, self.store, trouble)

    def symbols(self, name: str = "us") -> list[str]:
        """What the feed wants."""
        return self.feeds.clients[name].get_subscriptions()

    def wants(self, *symbols: str, name: str = "us") -> Callable[[], bool]:
        return lambda: set(self.symbols(name)) == set(symbols)

    @property
    def tracked(self) -> set[str]:
        return set(self.board.by_symbol)

    def reload(self, **feeds: FeedSettings) -> None:
        """As a reload does: the feeds first."""
        for name, each in feeds.items():
            self.feeds.clients[name].apply(each)
        self.watchlists.apply(feeds)

    def told(self) -> list[tuple[Any, ...]]:
        return [(event["error"], event["severity"], event["feed"]) for event in self.errors]


Open = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Opens a house: the last lists are handed out; with `run`, the readers read."""

    @contextlib.asynccontextmanager
    async def opened(*, run: bool = True, state: Path | None = None, **feeds: FeedSettings) -> AsyncIterator[House]:
        house = House(tmp_path, feeds, state)
        try:
            await house.watchlists.restore()
            async with asyncio.TaskGroup() as group:
                readers = house.watchlists.readers.values() if run else ()
                tasks = [group.create_task(reader.run()) for reader in readers]
                yield house
                for task in tasks:
                    task.cancel()
        finally:
            await house.store.close()

    return opened


async def kept(tmp_path: Path) -> dict[str, tuple[str, ...]]:
    store = StateStore(tmp_path / "state.db", on_damage=pytest.fail)
    found = {name: saved.symbols for name, saved in (await store.watchlists()).items()}
    await store.close()
    return found


# --- reading


async def test_symbols_come_and_go_as_the_file_is_edited(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("MSFT\nTSLA\n")
    async with opened(us=feed("AAPL", watchlist=of_file(path))) as house:
        await eventually(house.wants("AAPL", "MSFT", "TSLA"))
        assert house.tracked >= {"MSFT", "TSLA"}
        path.write_text("AMZN\ntsla\naapl\n")
        await eventually(house.wants("AAPL", "AMZN", "TSLA"))
        assert house.tracked == {"AAPL", "AMZN", "TSLA"}
        assert {row["symbol"]: row["source"] for row in house.feeds.clients["us"].symbol_reports()} == {
            "AAPL": "yaml",
            "TSLA": "watchlist",
            "AMZN": "watchlist",
        }
        path.write_text("tsla\n")
        await eventually(house.wants("AAPL", "TSLA"))
    assert house.errors == []


async def test_alerts_that_lose_their_symbols_are_told_of(opened: Open, tmp_path: Path) -> None:
    """Nobody looks when a database changes: an alert that will not come has to say so."""
    path = tmp_path / "w.txt"
    path.write_text("MSFT\nTSLA\nIBM\n")
    async with opened(us=feed("AAPL", watchlist=of_file(path))) as house:
        for symbol in ("AAPL", "MSFT", "TSLA"):
            house.board.set_alert(AlertRule.from_mapping(symbol, {"name": f"a-{symbol}", "above": 1}))
        await eventually(house.wants("AAPL", "MSFT", "TSLA", "IBM"))
        path.write_text("IBM\nTSLA\n")
        await eventually(house.wants("AAPL", "TSLA", "IBM"))
        path.write_text("TSLA\n")
        await eventually(house.wants("AAPL", "TSLA"))
        assert [event["message"] for event in house.errors] == [
            "feed us: watchlist: a-MSFT cannot fire any more: no feed has MSFT now"
        ]
        assert house.told() == [("watchlist", "warning", "us")]


async def test_of_many_alerts_that_lose_their_symbols_some_are_named(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("\n".join(f"S{number}" for number in range(25)))
    async with opened(us=feed("AAPL", watchlist=of_file(path))) as house:
        for number in range(25):
            house.board.set_alert(AlertRule.from_mapping(f"S{number}", {"name": f"a{number}", "above": 1}))
        await eventually(house.wants("AAPL", *(f"S{number}" for number in range(25))))
        path.write_text("MSFT\n")
        await eventually(house.wants("AAPL", "MSFT"))
        (event,) = house.errors
    assert event["message"].count("cannot fire any more") == 10
    assert event["message"].endswith("; and 15 more alerts")


async def test_a_failure_keeps_the_list_and_is_told_once_and_so_is_the_recovery(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "w.txt"
    path.write_text("MSFT\n")
    async with opened(us=feed(watchlist=of_file(path))) as house:
        reader = house.watchlists.readers["us"]
        await eventually(house.wants("MSFT"))
        path.unlink()
        await eventually(lambda: reader._failures > 3)
        assert house.symbols() == ["MSFT"]
        assert house.told() == [("watchlist", "warning", "us")]
        message = f"feed us: watchlist: {path}: No such file or directory; its last list of 1 symbol stays"
        assert house.errors[0]["message"] == message
        last = reader.last_success_at
        path.write_text("TSLA\n")
        await eventually(house.wants("TSLA"))
        assert reader.last_success_at > last
    assert [record.message for record in caplog.records].count(message) == 1
    assert any("watchlist read again after" in record.message for record in caplog.records)


async def test_an_empty_list_is_believed_at_the_second_reading(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "w.txt"
    path.write_text("MSFT\n")
    async with opened(us=feed("AAPL", watchlist=of_file(path))) as house:
        await eventually(house.wants("AAPL", "MSFT"))
        path.write_text("# nothing\n")
        await eventually(house.wants("AAPL"))
    told = [record.message for record in caplog.records if "is empty" in record.message]
    assert told == [
        f"feed us: watchlist {path} is empty; its last list of 1 symbol stays until it is read empty once more"
    ]


async def test_readings_keep_their_distance(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("S0\n")
    seen = []
    async with opened(us=feed(watchlist=of_file(path, refresh=0.3))) as house:
        for number in range(4):
            await eventually(house.wants(f"S{number}"))
            seen.append(time.monotonic())
            path.write_text(f"S{number + 1}\n")
    # Each reading is due from the start of the one before: what a slow machine adds is not added up.
    assert 0.85 < seen[-1] - seen[0] < 3


# --- over a restart


async def test_the_last_list_counts_from_the_start_while_the_file_is_away(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("MSFT\nTSLA\n")
    settings = feed("AAPL", watchlist=of_file(path))
    async with opened(us=settings) as house:
        await eventually(house.wants("AAPL", "MSFT", "TSLA"))
        await eventually(lambda: house.watchlists._saved)
    path.unlink()
    async with opened(us=settings, run=False) as house:
        assert house.symbols() == ["AAPL", "MSFT", "TSLA"]
        assert house.tracked == {"AAPL", "MSFT", "TSLA"}
        assert house.watchlists.readers["us"].last_success_at is None
    async with opened(us=settings) as house:
        await eventually(lambda: house.errors)
        assert house.errors[0]["message"].endswith("its last list of 2 symbols stays")
        assert house.symbols() == ["AAPL", "MSFT", "TSLA"]
        path.write_text("AMZN\n")
        await eventually(house.wants("AAPL", "AMZN"))
    assert await kept(tmp_path) == {"us": ("AMZN",)}


async def test_without_a_last_list_a_file_that_is_away_costs_its_symbols_only(opened: Open, tmp_path: Path) -> None:
    async with opened(us=feed("AAPL", watchlist=of_file(tmp_path / "w.txt"))) as house:
        await eventually(lambda: house.errors)
        assert house.errors[0]["message"].endswith("it has no last list")
        assert house.symbols() == ["AAPL"]


async def test_the_list_of_a_feed_that_has_no_watchlist_any_more_is_forgotten(opened: Open, tmp_path: Path) -> None:
    store = StateStore(tmp_path / "state.db", on_damage=pytest.fail)
    for name in ("us", "eu", "gone"):
        await store.save_watchlist(name, (f"OF-{name}",))
    await store.close()
    async with opened(run=False, us=feed(watchlist=of_file(tmp_path / "w")), eu=feed("SAP")) as house:
        assert house.symbols("us") == ["OF-us"]
        assert house.symbols("eu") == ["SAP"]
    assert await kept(tmp_path) == {"us": ("OF-us",)}


async def test_without_a_watchlist_there_is_no_state(opened: Open, tmp_path: Path) -> None:
    async with opened(us=feed("AAPL"), eu=feed("SAP")) as house:
        house.reload(us=feed("MSFT"), eu=feed("SAP"))
        assert house.watchlists.configured == {}
    assert not (tmp_path / "state.db").exists()


async def test_L11_a_state_of_a_newer_version_is_refused_at_the_start(opened: Open, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ForeignStateError, match="schema 99"):
        async with opened(us=feed(watchlist=of_file(tmp_path / "w"))):
            pass


async def test_S9_a_damaged_state_is_told_of_and_the_stream_goes_on(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("no database " * 1000)
    path = tmp_path / "w.txt"
    path.write_text("MSFT\n")
    async with opened(us=feed(watchlist=of_file(path))) as house:
        assert house.told() == [("state", "critical", None)]
        assert ".corrupt-" in house.errors[0]["message"]
        await eventually(house.wants("MSFT"))
        await eventually(lambda: house.watchlists._saved)
    assert await kept(tmp_path) == {"us": ("MSFT",)}


async def test_a_state_that_cannot_be_written_is_told_of_once_and_tried_again(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "w.txt"
    path.write_text("MSFT\n")
    state = tmp_path / "file" / "state.db"
    async with opened(us=feed(watchlist=of_file(path)), state=state) as house:
        await eventually(house.wants("MSFT"))
        path.write_text("TSLA\n")
        await eventually(house.wants("TSLA"))
        assert house.told() == [("state", "critical", None)]
        assert f"{state}: " in house.errors[0]["message"]
        (tmp_path / "file").unlink()
        await eventually(lambda: house.watchlists._saved == {"us": ("TSLA",)})
    assert state.exists()


# --- whose symbol it is


async def test_a_symbol_of_another_feed_is_left_out_until_that_feed_gives_it_up(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "w.txt"
    path.write_text("MSFT\nsap\n")
    async with opened(us=feed("AAPL", watchlist=of_file(path)), eu=feed("SAP", "BMW")) as house:
        await eventually(house.wants("AAPL", "MSFT"))
        await eventually(lambda: caplog.records)
        reader = house.watchlists.readers["us"]
        read = reader.last_success_at
        await eventually(lambda: (reader.last_success_at or 0) > (read or 0))
        house.feeds.clients["eu"].unwant(["SAP"])
        await eventually(house.wants("AAPL", "MSFT", "sap"))
        assert house.symbols("eu") == ["BMW"]
        assert house.board.state("sap") is not None
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert told == ["feed us: watchlist: of another feed, so ignored: sap (feed eu)"]


async def test_of_two_watchlists_with_one_symbol_the_first_has_it(opened: Open, tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("X\nA\n")
    two.write_text("X\nB\n")
    feeds = {"us": feed(watchlist=of_file(one)), "eu": feed(watchlist=of_file(two))}
    async with opened(**feeds) as house:
        await eventually(lambda: len(house.symbols("us")) + len(house.symbols("eu")) == 3)
        owner = "us" if house.feeds.clients["us"].wants("X") else "eu"
        (one if owner == "us" else two).write_text("C\n")
        other = {"us": "eu", "eu": "us"}[owner]
        await eventually(lambda: house.feeds.clients[other].wants("X"))
        assert "X" in house.tracked


async def test_a_feed_and_its_backup_share_symbols(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("AAPL\nMSFT\n")
    async with opened(us=feed("AAPL", backup="spare"), spare=feed(watchlist=of_file(path))) as house:
        await eventually(house.wants("AAPL", "MSFT", name="spare"))


async def test_what_the_configuration_gives_to_another_feed_leaves_the_watchlist(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("MSFT\nSAP\n")
    us = feed(watchlist=of_file(path, refresh=60))
    async with opened(us=us, eu=feed("BMW")) as house:
        await eventually(house.wants("MSFT", "SAP"))
        house.reload(us=us, eu=feed("BMW", "SAP"))
        assert house.symbols("us") == ["MSFT"]
        assert house.symbols("eu") == ["BMW", "SAP"]
        assert "SAP" in house.tracked
        house.reload(us=us, eu=feed("BMW"))
        assert house.symbols("us") == ["MSFT", "SAP"]


# --- reload


async def test_an_unchanged_watchlist_keeps_its_list_and_its_timer(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("MSFT\n")
    us = feed("AAPL", watchlist=of_file(path, refresh=60))
    async with opened(us=us) as house:
        await eventually(house.wants("AAPL", "MSFT"))
        reader = house.watchlists.readers["us"]
        last, due = reader.last_success_at, reader._due_in()
        house.reload(us=replace(us, symbols=("TSLA",)))
        await asyncio.sleep(0.05)
        assert set(house.symbols()) == {"TSLA", "MSFT"}
        assert reader.last_success_at == last
        assert due is not None and (reader._due_in() or 0) < due


async def test_a_changed_refresh_counts_from_the_last_reading(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("MSFT\n")
    async with opened(us=feed(watchlist=of_file(path, refresh=60))) as house:
        await eventually(house.wants("MSFT"))
        path.write_text("TSLA\n")
        house.reload(us=feed(watchlist=of_file(path, refresh=0.05)))
        assert house.symbols() == ["MSFT"]
        await eventually(house.wants("TSLA"))


async def test_the_list_of_another_place_takes_over_when_it_has_been_read(opened: Open, tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("MSFT\n")
    async with opened(us=feed(watchlist=of_file(one, refresh=60))) as house:
        await eventually(house.wants("MSFT"))
        house.reload(us=feed(watchlist=of_file(two)))
        await eventually(lambda: house.errors)
        assert house.symbols() == ["MSFT"]
        two.write_text("TSLA\n")
        await eventually(house.wants("TSLA"))


async def test_a_removed_watchlist_takes_its_symbols_with_it_and_a_new_one_brings_its_own(
    opened: Open, tmp_path: Path
) -> None:
    path = tmp_path / "w.txt"
    path.write_text("MSFT\nAAPL\n")
    async with opened(us=feed("AAPL"), eu=feed(watchlist=of_file(path))) as house:
        await eventually(house.wants("MSFT", name="eu"))
        house.reload(us=feed("AAPL"), eu=feed("SAP"))
        assert house.symbols("eu") == ["SAP"]
        assert house.tracked == {"AAPL", "SAP"}
        assert house.watchlists.configured == {}
        house.reload(us=feed("AAPL", watchlist=of_file(path)), eu=feed("SAP"))
        await eventually(house.wants("AAPL", "MSFT", name="us"))
        assert list(house.watchlists.configured) == ["us"]


async def test_a_reading_that_a_reload_has_overtaken_changes_nothing(opened: Open, tmp_path: Path) -> None:
    slow, quick = tmp_path / "slow.db", tmp_path / "quick.txt"
    quick.write_text("TSLA\n")
    with contextlib.closing(sqlite3.connect(slow, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE watchlist (symbol)")
        writer.execute("INSERT INTO watchlist VALUES ('MSFT')")
        writer.execute("BEGIN EXCLUSIVE")
        sql = WatchlistSqlSettings(url=Secret(f"sqlite:///{slow}"), query="SELECT symbol FROM watchlist")
        async with opened(us=feed(watchlist=WatchlistSettings(sql=sql, refresh=60))) as house:
            source = house.watchlists.readers["us"]._source
            assert source is not None
            await eventually(lambda: source._thread.busy)
            house.reload(us=feed(watchlist=of_file(quick, refresh=60)))
            writer.execute("ROLLBACK")
            await eventually(house.symbols, 10)
            assert house.symbols() == ["TSLA"]
            assert house.errors == []
