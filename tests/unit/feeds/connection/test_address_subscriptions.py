"""Sessions of providers that need no subscription messages: symbols are in the address, or asked for by each poll."""

from __future__ import annotations

from functools import partial

from pricestreamd.feeds.connection.commands import Live, Stale, SymbolsRejected
from pricestreamd.feeds.settings import FeedSettings, StaleSettings
from pricestreamd.providers.base import FaultKind, ProviderFault
from tests.support.adapters import Polled, Streamed
from tests.unit.feeds.connection.driver import Driver

SETTINGS = FeedSettings(provider="x", stale_after=StaleSettings(connection=60.0))


def test_what_is_in_the_address_is_subscribed_when_the_connection_is_open() -> None:
    driver = Driver("A", "B", settings=SETTINGS, new_adapter=Streamed).start()
    assert driver.state == "live"
    assert driver.session.subscriptions.confirmed == ["A", "B"]
    assert driver.told(Live) == [Live(again=False)]
    assert (driver.sent, driver.replacements) == ([], [])


def test_other_symbols_need_another_connection_and_this_one_goes_on() -> None:
    driver = Driver("A", "B", settings=SETTINGS, new_adapter=Streamed).start()
    driver.do(driver.session.want(["C"], driver.now))
    driver.do(driver.session.want(["D"], driver.now))
    assert (driver.replacements, driver.state) == (["symbols"], "live")
    assert driver.session.subscriptions.confirmed == ["A", "B"]


def test_giving_up_a_symbol_needs_another_address_too() -> None:
    driver = Driver("A", "B", settings=SETTINGS, new_adapter=Streamed).start()
    driver.do(driver.session.unwant(["B"], driver.now))
    assert driver.replacements == ["symbols"]
    assert driver.session.subscriptions.confirmed == ["A"]


def test_after_a_loss_the_address_names_what_is_wanted_by_then() -> None:
    driver = Driver("A", settings=SETTINGS, new_adapter=Streamed).start()
    driver.lose()
    driver.do(driver.session.want(["B"], driver.now))
    driver.advance(5.0)
    assert list(driver.session.adapter.symbols) == ["A", "B"]
    assert driver.session.subscriptions.confirmed == ["A", "B"]
    assert driver.told(Live)[1:] == [Live(again=True)]


def test_nothing_is_pinged_where_nothing_can_be_sent() -> None:
    driver = Driver("A", settings=SETTINGS, new_adapter=Streamed).start()
    driver.prices_every = 1.0
    driver.advance(600.0)
    assert (driver.pings, driver.sent, driver.state) == ([], [], "live")


def test_polls_take_new_symbols_at_once_and_silence_between_them_is_no_fault() -> None:
    chosen = FeedSettings(provider="x")
    driver = Driver("A", settings=chosen, new_adapter=partial(Polled, "https://poll.example.org/")).start()
    driver.do(driver.session.want(["B"], driver.now))
    assert driver.session.subscriptions.confirmed == ["A", "B"]
    driver.advance(7200.0)
    assert (driver.state, driver.told(Stale), driver.replacements) == ("live", [], [])


def test_a_symbol_that_a_poll_refuses_is_rejected_and_the_others_go_on() -> None:
    driver = Driver("A", "BAD", settings=SETTINGS, new_adapter=partial(Polled, "https://poll.example.org/")).start()
    driver.do(driver.session.message(ProviderFault(FaultKind.SYMBOL_REJECTED, "unknown", "BAD"), driver.now))
    assert driver.told(SymbolsRejected) == [SymbolsRejected({"BAD": "unknown"})]
    assert driver.session.subscriptions.confirmed == ["A"]
    assert driver.state == "live"
