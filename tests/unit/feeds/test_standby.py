"""A feed and its backup over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from pricestreamd.dispatch.dispatcher import EventDispatcher
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.feeds.settings import FeedSettings, ReconnectSettings, StaleSettings
from pricestreamd.model.events import Event, PriceError, PriceGap, PriceUpdate, Run
from pricestreamd.stream.service import PriceStreamService
from pricestreamd.stream.settings import StreamSettings
from tests.support.provider import Answer, ScriptedProvider
from tests.support.waiting import eventually

FAST = FeedSettings(
    provider="twelvedata",
    reconnect=ReconnectSettings(initial_delay=0.02, max_delay=0.1, jitter=0),
    stale_after=StaleSettings(connection=None),
)


class Two:
    """Feed `main` with its backup `spare`, each with a provider of its own, and what the stream makes of them."""

    def __init__(self, main: ScriptedProvider, spare: ScriptedProvider, spare_symbols: tuple[str, ...]) -> None:
        self.main_provider, self.spare_provider = main, spare
        run = Run("test")
        self.main = WebSocketClient.from_settings(
            "main", replace(FAST, endpoint=main.url, symbols=("AAPL", "MSFT"), backup="spare"), run
        )
        self.spare = WebSocketClient.from_settings(
            "spare", replace(FAST, endpoint=spare.url, symbols=spare_symbols), run
        )
        self.group = FeedGroup([self.main, self.spare], patience=0.2, settled=0.5)
        self.events: list[Event] = []
        self.dispatcher = EventDispatcher(run)
        self.dispatcher.on("*", self.events.append)
        self.service = PriceStreamService(self.group, self.dispatcher, StreamSettings(min_change_percent=0.1))
        self.service.begin(self.group.get_subscriptions())

    def told(self, name: str) -> list[Any]:
        return [event for event in self.events if event.event == name]

    def prices(self) -> list[tuple[str, float]]:
        return [(event.feed, event.price) for event in self.events if type(event) is PriceUpdate]


@asynccontextmanager
async def running(*spare_symbols: str) -> AsyncIterator[Two]:
    async with ScriptedProvider() as main, ScriptedProvider() as spare:
        two = Two(main, spare, spare_symbols)
        task = asyncio.create_task(two.group.run())
        try:
            await eventually(lambda: two.main.state == "live" and two.spare.state == "live")
            yield two
        finally:
            await two.group.disconnect()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize("spare_symbols", [("AAPL", "MSFT"), ("TSLA",)], ids=["subscribed all the time", "when needed"])
async def test_a_backup_takes_over_and_gives_back_without_false_changes(spare_symbols: tuple[str, ...]) -> None:
    async with running(*spare_symbols) as two:
        await two.main_provider.last.price("AAPL", 100.0, 1_700_000_000)
        await eventually(lambda: two.prices() == [("main", 100.0)])
        if "AAPL" in spare_symbols:
            # The other market is a little dearer; while it only stands by, nobody hears of that.
            await two.spare_provider.last.price("AAPL", 101.0, 1_700_000_001)
            await eventually(lambda: two.spare.counters.ticks == 1)
        two.main_provider.answer = Answer(503)
        two.main_provider.last.drop()
        await eventually(lambda: [error.message for error in two.told("price.error") if error.error == "backup"])
        await eventually(lambda: "AAPL" in two.spare_provider.last.subscribed)
        await eventually(lambda: "AAPL" in two.spare.get_stats()["subscribed_symbols"])
        await two.spare_provider.last.price("AAPL", 101.1, 1_700_000_002)
        await eventually(lambda: two.prices()[-1] == ("spare", 101.1))
        two.main_provider.answer = None
        await eventually(lambda: two.main.state == "live")
        backups = [error for error in two.told("price.error") if error.error == "backup"]
        assert [(error.severity, error.feed) for error in backups] == [("warning", "main")]
        await two.main_provider.last.price("AAPL", 100.1, 1_700_000_003)
        await eventually(lambda: len([e for e in two.told("price.error") if e.error == "backup"]) == 2)
        await two.main_provider.last.price("AAPL", 100.2, 1_700_000_004)
        await eventually(lambda: two.prices()[-1] == ("main", 100.2))
        assert two.prices() == [("main", 100.0), ("spare", 101.1), ("main", 100.2)]
        assert two.told("price.change") == []
        assert two.told("price.spike") == []
        if "AAPL" not in spare_symbols:
            await eventually(lambda: two.spare_provider.last.subscribed == {"TSLA"})


async def test_real_moves_within_one_feed_are_changes_after_a_switch_too() -> None:
    async with running("AAPL") as two:
        await two.main_provider.last.price("AAPL", 100.0, 1_700_000_000)
        await eventually(two.prices)
        two.main_provider.answer = Answer(503)
        two.main_provider.last.drop()
        await eventually(lambda: [e for e in two.told("price.gap") if e.reason == "backup"])
        await two.spare_provider.last.price("AAPL", 105.0, 1_700_000_002)
        await two.spare_provider.last.price("AAPL", 106.0, 1_700_000_003)
        await eventually(lambda: len(two.prices()) == 3)
        assert [round(change.change_percent, 2) for change in two.told("price.change")] == [0.95]
        (gap,) = [event for event in two.told("price.gap") if isinstance(event, PriceGap) and event.reason == "backup"]
        assert (gap.feed, set(gap.symbols)) == ("main", {"AAPL", "MSFT"})


async def test_an_alert_that_the_other_market_fires_is_marked_as_after_a_gap() -> None:
    async with running("AAPL") as two:
        two.service.set_alert("AAPL", above=105)
        await two.main_provider.last.price("AAPL", 104.9, 1_700_000_000)
        await eventually(two.prices)
        two.main_provider.answer = Answer(503)
        two.main_provider.last.drop()
        await eventually(lambda: [e for e in two.told("price.gap") if e.reason == "backup"])
        for second, price in enumerate((105.1, 105.2, 105.0)):
            await two.spare_provider.last.price("AAPL", price, 1_700_000_002 + second)
        await eventually(lambda: len(two.prices()) == 4)
        (alert,) = two.told("price.alert")
        assert (alert.price, alert.after_gap) == (105.1, True)


async def test_the_switch_is_told_in_words() -> None:
    async with running("AAPL") as two:
        two.main_provider.answer = Answer(503)
        two.main_provider.last.drop()
        await eventually(lambda: [e for e in two.told("price.error") if e.error == "backup"])
        (error,) = [e for e in two.told("price.error") if isinstance(e, PriceError) and e.error == "backup"]
        assert error.message == "feed main: spare takes over 2 symbols"
