"""What time alone tells: silent symbols, market hours, connections that grow old."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from pricestreamd.feeds.announcer import Announcer
from pricestreamd.feeds.connection.commands import Command, Fact, Send
from pricestreamd.feeds.connection.connection import Connection, Owner
from pricestreamd.feeds.connection.session import Session
from pricestreamd.feeds.settings import FeedSettings, StaleSettings
from pricestreamd.feeds.silence.watch import Watch
from pricestreamd.feeds.transports.transport import Transport
from pricestreamd.model.events import PriceResumed, PriceStale, Run
from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import Ack, Adapter, Rejected
from pricestreamd.providers.twelvedata import PROFILE, TwelveData

SETTINGS = FeedSettings(provider="twelvedata", stale_after=StaleSettings(connection=None, symbol=30.0))
# A Tuesday, 10:00 in New York; the market closes at 16:00.
OPEN = datetime(2026, 11, 24, 15, 0, tzinfo=UTC).timestamp()


def middle(low: float, high: float) -> float:
    return (low + high) / 2


async def never(_: Adapter) -> Transport:
    raise AssertionError("nobody dials here")


class Kept(Connection):
    """A connection that keeps its commands instead of performing them."""

    def __init__(self, session: Session, owner: Owner) -> None:
        super().__init__(0, session, never, owner)
        self.commands: list[Command] = []

    def perform(self, commands: Iterable[Command]) -> None:
        self.commands.extend(commands)


class Nobody:
    """An owner that is told nothing."""

    refused = None

    def told(self, fact: Fact, connection: Connection) -> None: ...
    def replace(self, connection: Connection, reason: str) -> None: ...
    def rejected(self, message: Rejected, data: bytes) -> None: ...
    def callback_failed(self, callback: object, exc: Exception) -> None: ...


class World:
    """One connection that is live, looked at on a fake clock."""

    def __init__(self, *symbols: str, settings: FeedSettings = SETTINGS, lifetime: float | None = None) -> None:
        self.at = OPEN
        self.latest: dict[str, Tick] = {}
        self.events: list[object] = []
        self.announcer = Announcer("us", Run("test"), lambda: None)
        self.announcer.event_callbacks = (self.events.append,)
        self.profile = replace(PROFILE, lifetime=lifetime)
        self.watch = Watch(settings, self.profile, self.announcer, self.latest, middle)
        session = Session("us", settings, TwelveData, middle)
        self.connection = Kept(session, Nobody())
        session.want(symbols, self.now)
        session.start(self.now, supervised=True)
        session.opened(self.now, 0, 0)
        session.message(Ack(tuple(symbols)), self.now)
        self.connection.opened_at = self.now

    @property
    def state(self) -> str:
        return self.connection.session.state

    @property
    def market_open(self) -> bool:
        return self.connection.session.market_open

    @property
    def now(self) -> float:
        return self.at - OPEN + 1000.0

    def tick(self, symbol: str) -> None:
        self.latest[symbol] = Tick(symbol, 1.0, self.at, self.at, None, None, "us")

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.at += 1.0
            self.watch.look_at(self.connection, self.now, self.at)
            self.watch.look(lambda _: self.connection, self.now, self.at)

    def told(self) -> list[tuple[str, str | None]]:
        return [(type(event).__name__, event.symbol) for event in self.events]  # type: ignore[attr-defined]


def test_a_silent_symbol_is_told_and_asked_for_anew_once() -> None:
    world = World("AAPL", "MSFT")
    for _ in range(60):
        world.tick("AAPL")
        world.pass_time(1)
    assert world.told() == [("PriceStale", "MSFT")]
    assert world.watch.stale == {"MSFT"}
    asked = [command.text for command in world.connection.commands if isinstance(command, Send)]
    assert len(asked) == 2
    assert all("MSFT" in text and "AAPL" not in text for text in asked)
    world.tick("MSFT")
    world.pass_time(1)
    assert world.told()[1:] == [("PriceResumed", "MSFT")]
    assert isinstance(world.events[0], PriceStale) and isinstance(world.events[1], PriceResumed)
    assert world.watch.stale == frozenset()


def test_a_closed_market_is_told_to_the_session_and_its_symbols_are_not_stale() -> None:
    world = World("AAPL")
    world.pass_time(1)
    assert (world.market_open, world.watch.market_open(world.at, ())) == (True, True)
    world.at = datetime(2026, 11, 24, 21, 0, tzinfo=UTC).timestamp()
    world.pass_time(1)
    assert (world.market_open, world.watch.market_open(world.at, ())) == (False, False)
    world.pass_time(600)
    assert world.told() == []
    world.watch.pause_all()
    assert not world.watch.market_open(world.at, ["AAPL"])
    assert world.watch.market_open(world.at, ["AAPL", "BTC/USD"])


def test_a_market_is_open_while_that_of_any_symbol_is_or_nobody_knows() -> None:
    watch = World("AAPL").watch
    # New York opens at 14:30 and closes at 21:00 that day, London at 8:00 and 16:30.
    day = datetime(2026, 11, 24, tzinfo=UTC).timestamp()
    times = [day + hour * 3600 for hour in (7.9, 8.0, 14.4, 14.5, 16.6, 20.9, 21.0)]

    def seen(*wanted: str) -> list[bool]:
        return [watch.market_open(at, wanted) for at in times]

    assert seen("AAPL") == [False, False, False, True, True, True, False]
    assert seen("VOD:LSE") == [False, True, True, True, False, False, False]
    assert seen("AAPL", "VOD:LSE") == [False, True, True, True, True, True, False]
    assert seen("AAPL", "WHAT:EVER") == seen() == [True] * 7


def test_one_open_market_is_enough_for_a_connection() -> None:
    world = World("AAPL", "BTC/USD")
    world.at = datetime(2026, 11, 24, 21, 0, tzinfo=UTC).timestamp()
    world.pass_time(1)
    assert world.market_open


def test_a_connection_all_of_whose_symbols_are_silent_is_given_up_where_the_rhythm_decides() -> None:
    settings = replace(SETTINGS, stale_after=StaleSettings(connection="learned", symbol=30.0))
    world = World("AAPL", "MSFT", settings=settings)
    for _ in range(60):
        world.tick("AAPL")
        world.pass_time(1)
    assert world.state == "live"
    world.pass_time(40)
    assert world.state == "stale"


def test_many_symbols_that_fall_silent_at_once_are_asked_for_anew_together() -> None:
    symbols = [f"S{number}" for number in range(1000)]
    world = World(*symbols, settings=replace(SETTINGS, market_hours="always"))
    world.pass_time(35)
    assert len(world.events) == 1000
    asked = [command.text for command in world.connection.commands if isinstance(command, Send)]
    assert len(asked) == 2
    assert all(text.count(",S") == 999 for text in asked)


def test_the_silence_of_a_symbol_goes_on_when_another_connection_takes_it_over() -> None:
    world, other = World("AAPL"), World("AAPL")
    world.pass_time(20)
    world.watch.look_at(other.connection, world.now, world.at)
    world.watch.forget(world.connection)
    world.connection = other.connection
    world.pass_time(15)
    assert world.told() == [("PriceStale", "AAPL")]


def test_no_symbol_is_stale_where_that_is_off() -> None:
    world = World("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection=None, symbol=None)))
    world.pass_time(600)
    assert (world.told(), world.watch.stale) == ([], frozenset())


def test_a_connection_is_replaced_before_its_provider_closes_it() -> None:
    world = World("AAPL", lifetime=1000.0)
    world.pass_time(899)
    assert not world.watch.outlived(world.connection, world.now)
    world.pass_time(1)
    assert world.watch.outlived(world.connection, world.now)
    world.connection.opened_at = world.now
    assert not world.watch.outlived(world.connection, world.now)


def test_changed_limits_count_from_now_on() -> None:
    world = World("AAPL")
    world.watch.configure(replace(SETTINGS, stale_after=StaleSettings(connection=None, symbol=5.0)))
    world.pass_time(7)
    assert world.told() == [("PriceStale", "AAPL")]
