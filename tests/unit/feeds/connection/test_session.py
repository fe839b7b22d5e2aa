"""The life of a connection on a fake clock: each promise of the session, and that nothing storms or stalls."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricestreamd.feeds.connection.commands import (
    Abort,
    Answered,
    CapReached,
    Connected,
    Disconnected,
    Failed,
    Live,
    Open,
    PricesMissed,
    Reconnecting,
    Resumed,
    Stale,
    SymbolsRejected,
    WaitUntil,
)
from pricestreamd.feeds.connection.verdict import Loss
from pricestreamd.feeds.settings import FeedSettings, HeartbeatSettings, ReconnectSettings, StaleSettings
from pricestreamd.model.errors import AuthenticationFailed, HandshakeRejected, TransportError
from pricestreamd.providers.base import Adapter, Farewell, FaultKind, Ignored, Missed, ProviderFault, Request, Terms
from pricestreamd.providers.binance import Binance
from pricestreamd.providers.profile import Profile
from pricestreamd.providers.twelvedata import PROFILE, TwelveData
from tests.unit.feeds.connection.driver import Driver

SETTINGS = FeedSettings(provider="twelvedata", stale_after=StaleSettings(connection=None))
EXACT = replace(SETTINGS, reconnect=ReconnectSettings(jitter=0))


def answer_at_once(driver: Driver) -> None:
    driver.accept()
    driver.acknowledge()


def live(*symbols: str, **more: object) -> Driver:
    driver = Driver(*(symbols or ("AAPL",)), **{"settings": SETTINGS, **more}).start()  # type: ignore[arg-type]
    driver.acknowledge()
    assert driver.state == "live"
    return driver


# --- the way up


def test_it_dials_subscribes_and_is_live_when_answered() -> None:
    driver = Driver("AAPL", "MSFT", settings=SETTINGS).start()
    assert driver.state == "subscribing"
    assert driver.asked() == [["AAPL", "MSFT"]]
    driver.acknowledge()
    assert driver.state == "live"
    assert driver.facts == [Connected(), Answered(), Live(again=False)]


def test_without_symbols_it_is_live_at_once_and_subscribes_when_one_is_wanted() -> None:
    driver = Driver(settings=SETTINGS).start()
    assert driver.state == "live"
    driver.do(driver.session.want(["AAPL"], driver.now))
    assert driver.state == "subscribing"
    driver.acknowledge()
    assert driver.state == "live"
    driver.do(driver.session.want(["MSFT"], driver.now))
    assert driver.state == "live"
    assert driver.asked() == [["AAPL"], ["MSFT"]]


def test_giving_up_the_symbols_that_are_waited_for_is_an_answer() -> None:
    driver = Driver("AAPL", settings=SETTINGS).start()
    driver.do(driver.session.unwant(["AAPL"], driver.now))
    assert driver.state == "live"
    assert driver.asked("unsubscribe") == [["AAPL"]]


def test_a_price_before_any_answer_is_an_answer() -> None:
    driver = Driver("AAPL", settings=SETTINGS).start()
    driver.price()
    driver.advance(1.0)
    assert driver.state == "live"


def test_no_answer_and_no_price_within_the_subscribe_timeout_is_a_lost_connection() -> None:
    driver = Driver("AAPL", settings=replace(SETTINGS, subscribe_timeout=15.0)).start()
    driver.advance(14.9)
    assert driver.state == "subscribing"
    driver.advance(0.2)
    assert driver.state == "backoff"
    assert driver.told(Disconnected) == [Disconnected("subscribe_timeout", expected=False)]


def test_an_answer_that_leaves_a_symbol_out_is_asked_for_again() -> None:
    driver = Driver("AAPL", "MSFT", settings=SETTINGS).start()
    driver.acknowledge(["AAPL"])
    driver.advance(14.0)
    assert driver.asked() == [["AAPL", "MSFT"]]
    driver.advance(2.0)
    assert driver.asked() == [["AAPL", "MSFT"], ["MSFT"]]
    assert driver.state == "live"


def test_a_partial_refusal_never_reconnects_and_tells_each_symbol_once() -> None:
    driver = Driver("AMZN", "1211", "HG1", settings=SETTINGS).start()
    for _ in range(3):
        driver.acknowledge(**{"1211": "You are not authorized to access XHKG data.", "HG1": "no"})
    driver.advance(3600.0)
    assert len(driver.dials) == 1
    assert driver.state == "live"
    assert driver.told(SymbolsRejected) == [
        SymbolsRejected({"1211": "You are not authorized to access XHKG data.", "HG1": "no"})
    ]
    assert driver.asked() == [["AMZN", "1211", "HG1"]]


def test_all_symbols_refused_is_still_an_answer() -> None:
    driver = Driver("A", "B", settings=SETTINGS).start()
    driver.acknowledge(A="no", B="no")
    assert driver.state == "live"


def test_a_symbol_that_cannot_be_said_is_refused_without_asking() -> None:
    driver = Driver("A,B", settings=SETTINGS).start()
    assert driver.state == "live"
    assert driver.told(SymbolsRejected) == [SymbolsRejected({"A,B": "a symbol cannot hold a comma"})]
    driver.do(driver.session.want(["AAPL", " "], driver.now))
    assert driver.asked() == [["AAPL"]]
    assert len(driver.told(SymbolsRejected)) == 2


# --- subscriptions over reconnects


def test_what_changed_while_the_connection_was_down_is_subscribed_when_it_is_up() -> None:
    driver = live("AAPL", "MSFT")
    driver.lose("reset")
    driver.do(driver.session.want(["TSLA"], driver.now))
    driver.do(driver.session.unwant(["MSFT"], driver.now))
    driver.advance(5.0)
    assert driver.asked() == [["AAPL", "MSFT"], ["AAPL", "TSLA"]]
    assert driver.asked("unsubscribe") == []
    driver.acknowledge()
    assert driver.session.subscriptions.confirmed == ["AAPL", "TSLA"]


def test_each_adapter_follows_the_one_of_the_dial_before() -> None:
    class Following(TwelveData):
        followed: Adapter | None = None

        def follow(self, before: Adapter) -> None:
            self.followed = before

    driver = live("AAPL", new_adapter=Following)
    before = driver.session.adapter
    driver.lose()
    driver.do(driver.session.retry_now(driver.now))
    assert isinstance(driver.session.adapter, Following)
    assert driver.session.adapter.followed is before


def test_a_lost_connection_confirms_nothing() -> None:
    driver = live("AAPL")
    driver.lose()
    assert driver.session.subscriptions.confirmed == []


def test_the_gap_is_told_only_after_a_connection_that_was_live() -> None:
    driver = Driver("AAPL", settings=SETTINGS).start()
    driver.lose()
    driver.advance(5.0)
    driver.acknowledge()
    assert driver.told(Live) == [Live(again=False)]
    driver.lose()
    driver.advance(5.0)
    driver.acknowledge()
    assert driver.told(Live) == [Live(again=False), Live(again=True)]


def test_the_gap_is_told_when_a_session_that_gave_up_is_begun_again_but_not_after_a_deliberate_stop() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, reconnect=ReconnectSettings(enabled=False)))
    driver.lose()
    assert driver.state == "stopped"
    driver.start().acknowledge()
    driver.do(driver.session.stop(driver.now, deliberate=False))
    driver.start().acknowledge()
    assert [fact.again for fact in driver.told(Live)] == [False, True, True]
    driver.do(driver.session.stop(driver.now))
    driver.start().acknowledge()
    assert [fact.again for fact in driver.told(Live)] == [False, True, True, False]
    # Given up first, and ended by the user then.
    driver.lose()
    driver.do(driver.session.stop(driver.now))
    driver.start().acknowledge()
    assert driver.told(Live)[-1] == Live(again=False)


def test_silence_that_was_told_ends_with_a_price_even_if_the_session_gave_up_meanwhile() -> None:
    settings = replace(SETTINGS, stale_after=StaleSettings(connection=60.0), reconnect=ReconnectSettings(enabled=False))
    driver = live("AAPL", settings=settings)
    driver.advance(70.0)
    assert (driver.state, len(driver.told(Stale))) == ("stopped", 1)
    driver.start().acknowledge()
    assert driver.state == "stale"
    driver.price()
    driver.advance(61.0)
    assert len(driver.told(Resumed)) == 1


def test_requests_are_paced_and_what_was_held_back_goes_out_together() -> None:
    driver = live("S0")
    for n in range(1, 100):
        driver.do(driver.session.want([f"S{n}"], driver.now))
    # 60 a minute, of which 6 are kept for heartbeats.
    assert len(driver.sent) == 54
    driver.acknowledge([f"S{n}" for n in range(54)])
    driver.advance(61.0)
    asked = driver.asked()
    assert len(asked) == 55
    assert [symbol for each in asked for symbol in each] == [f"S{n}" for n in range(100)]


def test_no_minute_ever_holds_more_messages_than_the_provider_takes() -> None:
    driver = live("S0")
    for n in range(1, 2000):
        driver.do((driver.session.want if n % 3 else driver.session.unwant)([f"S{n // 2}"], driver.now))
        if n % 7 == 0:
            driver.advance(1.0)
        if n % 100 == 0:
            driver.lose()
    assert max(sum(at <= other < at + 60 for other in driver.sent_at) for at in driver.sent_at) <= 60


def test_a_complaint_about_too_many_requests_silences_us_for_a_while() -> None:
    driver = live("AAPL")
    driver.say(ProviderFault(FaultKind.RATE_LIMITED, "Too many requests"))
    driver.do(driver.session.want(["MSFT"], driver.now))
    driver.advance(24.0)
    assert driver.asked() == [["AAPL"]]
    driver.price()
    driver.advance(10.0)
    assert driver.asked() == [["AAPL"], ["MSFT"]]
    assert driver.state == "live"


def test_a_provider_that_acknowledges_nothing_is_live_when_asked() -> None:
    class Quiet(TwelveData):
        profile = replace(PROFILE, acknowledges=False)

    driver = Driver("AAPL", settings=SETTINGS, new_adapter=Quiet).start()
    assert driver.state == "live"
    assert driver.session.subscriptions.confirmed == ["AAPL"]


# --- liveness


def test_a_black_hole_is_noticed_within_interval_and_timeout() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, heartbeat=HeartbeatSettings(interval=5, timeout=2)))
    driver.pongs = driver.heartbeats = False
    driver.advance(6.9)
    assert driver.aborts == 0
    driver.advance(0.2)
    assert driver.aborts == 1
    assert driver.told(Disconnected) == [Disconnected("pong", expected=False)]


def test_an_application_that_is_mute_is_replaced_though_pongs_come() -> None:
    driver = live("AAPL")
    driver.heartbeats = False
    driver.advance(26.0)
    assert driver.told(Disconnected) == [Disconnected("heartbeat", expected=False)]


def test_a_quiet_market_with_heartbeats_is_left_alone() -> None:
    driver = live("AAPL")
    driver.advance(4 * 3600.0)
    assert len(driver.dials) == 1
    assert driver.state == "live"
    beats = [at for at, message in zip(driver.sent_at, driver.sent, strict=True) if message["action"] == "heartbeat"]
    assert len(beats) == 1440
    assert len(driver.pings) == 480


def test_silence_is_told_once_and_the_connection_is_replaced_ever_more_patiently() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection=60.0)))
    driver.on_open = answer_at_once
    driver.advance(59.0)
    assert driver.state == "live"
    driver.advance(3.0)
    assert driver.state == "stale"
    assert driver.told(Stale) == [Stale(60.0)]
    assert driver.told(Disconnected) == [Disconnected("stale", expected=False)]
    assert len(driver.dials) == 2
    driver.advance(118.0)
    assert len(driver.dials) == 2
    driver.advance(5.0)
    assert len(driver.dials) == 3
    driver.advance(4 * 3600.0)
    assert len(driver.told(Stale)) == 1
    assert len(driver.dials) <= 3 + 4 + 4 * 4
    assert driver.state == "stale"


def test_a_price_after_silence_is_told_and_the_patience_is_the_old_one() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection=60.0)))
    driver.on_open = answer_at_once
    driver.advance(100.0)
    assert driver.state == "stale"
    driver.price()
    driver.advance(1.0)
    assert driver.state == "live"
    (resumed,) = driver.told(Resumed)
    assert resumed.silent_seconds == pytest.approx(101.0, abs=1.5)
    driver.advance(62.0)
    assert len(driver.told(Stale)) == 2


def test_a_connection_without_symbols_is_never_stale() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection=60.0)))
    driver.do(driver.session.unwant(["AAPL"], driver.now))
    driver.advance(600.0)
    assert driver.state == "live"


def test_giving_up_the_last_symbol_ends_staleness() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection=60.0)))
    driver.advance(61.0)
    driver.do(driver.session.unwant(["AAPL"], driver.now))
    driver.advance(10.0)
    assert driver.state == "live"


def test_learned_silence_is_judged_by_whoever_knows_the_rhythm() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection="learned")))
    driver.advance(3600.0)
    assert driver.told(Stale) == []
    driver.do(driver.session.give_up_as_stale(500.0, driver.now))
    assert driver.told(Stale) == [Stale(500.0)]
    assert driver.told(Disconnected) == [Disconnected("stale", expected=False)]


def test_w3_a_closed_market_is_no_reason_to_reconnect_and_silence_counts_from_its_opening() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection=60.0)))
    driver.do(driver.session.set_market_open(driver.now, is_open=False))
    driver.advance(12 * 3600.0)
    assert (driver.state, driver.told(Stale), len(driver.dials)) == ("live", [], 1)
    driver.do(driver.session.set_market_open(driver.now, is_open=True))
    driver.advance(59.0)
    assert driver.told(Stale) == []
    driver.advance(3.0)
    assert driver.told(Stale) == [Stale(60.0)]


def test_a_stale_connection_is_live_again_when_its_market_closes() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection=60.0)))
    driver.advance(70.0)
    driver.acknowledge()
    assert driver.state == "stale"
    driver.do(driver.session.set_market_open(driver.now, is_open=False))
    driver.advance(3600.0)
    assert (driver.state, len(driver.dials)) == ("live", 2)


def test_a_stale_symbol_is_given_up_and_asked_for_anew() -> None:
    driver = live("AAPL", "MSFT")
    driver.sent.clear()
    driver.do(driver.session.resubscribe(["MSFT"], driver.now))
    assert [(message["action"], message["params"]["symbols"]) for message in driver.sent] == [
        ("unsubscribe", "MSFT"),
        ("subscribe", "MSFT"),
    ]
    assert driver.state == "live"


def test_stale_symbols_are_asked_for_anew_in_one_request_and_when_the_pace_allows_it() -> None:
    driver = live("AAPL", *(f"S{n}" for n in range(100)))
    while driver.session.send_wait(driver.now) == 0:
        driver.do(driver.session.send('{"action":"mine"}', driver.now))
    driver.sent.clear()
    driver.do(driver.session.resubscribe([f"S{n}" for n in range(100)], driver.now))
    driver.do(driver.session.unwant(["S7"], driver.now))
    assert driver.sent == []
    driver.advance(61.0)
    given_up, asked = driver.asked("unsubscribe"), driver.asked()
    assert sorted(map(len, given_up)) == [1, 99] and ["S7"] in given_up
    assert [sorted(each) for each in asked] == [sorted(f"S{n}" for n in range(100) if n != 7)]


def test_what_cannot_be_given_up_is_not_asked_for_anew() -> None:
    class Subscribing(TwelveData):
        def encode_unsubscribe(self, symbols: Sequence[str]) -> Sequence[Request]:
            return ()

    driver = Driver("AAPL", new_adapter=Subscribing).start()
    driver.acknowledge()
    driver.sent.clear()
    driver.do(driver.session.resubscribe(["AAPL"], driver.now))
    driver.advance(5.0)
    assert driver.asked() == []


def test_of_two_spellings_of_one_market_the_first_is_asked_for() -> None:
    driver = Driver(new_adapter=Binance)
    driver.do(driver.session.want(["BTCUSDT", "BTC/USDT"], driver.now))
    assert [list(fact.symbols) for fact in driver.told(SymbolsRejected)] == [["BTC/USDT"]]
    assert dict(driver.session.subscriptions.states()) == {
        "BTCUSDT": ("pending", None),
        "BTC/USDT": ("rejected", "the same market as BTCUSDT, which is asked for already"),
    }


def test_a_farewell_asks_for_a_successor_once_and_goes_on() -> None:
    driver = live("AAPL")
    # Whatever the provider calls it: the reason of the replacement is a word of ours.
    driver.do(driver.session.message(Farewell("serverShutdown"), driver.now))
    driver.do(driver.session.message(Farewell("serverShutdown"), driver.now))
    assert (driver.replacements, driver.state, driver.session.replacement) == (["farewell"], "live", "farewell")
    driver.lose()
    assert driver.session.replacement is None


def test_missed_prices_are_told() -> None:
    driver = live("AAPL")
    driver.do(driver.session.message(Missed(("AAPL",), 3), driver.now))
    assert driver.told(PricesMissed) == [PricesMissed(("AAPL",), 3)]


def test_a_cap_is_told_with_what_is_held() -> None:
    driver = live("AAPL", "MSFT")
    driver.do(driver.session.message(ProviderFault(FaultKind.OVER_CAP, "too many"), driver.now))
    assert driver.told(CapReached) == [CapReached(2)]


def test_a_provider_that_asks_for_peace_gets_it() -> None:
    driver = live("AAPL")
    driver.sent.clear()
    driver.do(driver.session.message(ProviderFault(FaultKind.RATE_LIMITED, "slow", retry_after=20.0), driver.now))
    driver.do(driver.session.want(["MSFT"], driver.now))
    driver.advance(19.0)
    assert [message for message in driver.sent if message["action"] == "subscribe"] == []
    driver.advance(2.0)
    assert [message["params"]["symbols"] for message in driver.sent if message["action"] == "subscribe"] == ["MSFT"]


def test_pings_are_answered_until_they_are_a_flood() -> None:
    driver = live("AAPL")
    driver.do(driver.session.pinged(b"hello", driver.now))
    assert driver.pong_payloads == [b"hello"]
    for _ in range(100):
        driver.do(driver.session.pinged(b"", driver.now))
    assert driver.told(Disconnected) == [Disconnected("abuse", expected=False)]
    assert len(driver.pong_payloads) == 100


def test_pongs_that_nobody_asked_for_are_no_heartbeat_of_this_provider() -> None:
    driver = Driver("AAPL", settings=EXACT).start()
    for _ in range(3):
        driver.acknowledge()
        driver.heartbeats = False
        driver.advance(24.0)
        driver.do(driver.session.ponged(driver.now))
        driver.advance(6.0)
    assert [fact.attempt for fact in driver.told(Reconnecting)] == [1, 2, 3]


# --- the way down and up again


def test_delays_grow_until_the_connection_has_proven_itself() -> None:
    driver = Driver("AAPL", settings=EXACT).start()
    for _ in range(4):
        driver.acknowledge()
        driver.lose()
        driver.advance(9.0)
    assert [fact.delay for fact in driver.told(Reconnecting)] == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("prices", "heartbeats", "seconds", "attempts"),
    [(True, True, 12, [1, 1]), (False, True, 12, [1, 1]), (True, True, 8, [1, 2]), (False, False, 12, [1, 2])],
)
def test_the_count_returns_to_zero_only_after_ten_seconds_with_prices_or_heartbeats(
    prices: bool, heartbeats: bool, seconds: float, attempts: list[int]
) -> None:
    driver = Driver("AAPL", settings=EXACT).start()
    driver.acknowledge()
    driver.lose()
    driver.advance(1.1)
    driver.acknowledge()
    driver.heartbeats = heartbeats
    driver.prices_every = 0.5 if prices else None
    driver.advance(seconds)
    driver.prices_every = None
    driver.lose()
    assert [fact.attempt for fact in driver.told(Reconnecting)] == attempts


def test_prices_of_the_old_connection_prove_nothing_for_the_new_one() -> None:
    driver = live("AAPL", settings=EXACT)
    driver.heartbeats = False
    driver.price(50)
    driver.lose()
    driver.advance(1.1)
    driver.acknowledge()
    driver.advance(12.0)
    driver.lose()
    assert [fact.attempt for fact in driver.told(Reconnecting)] == [1, 2]


@pytest.mark.parametrize("acknowledged", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_a_server_that_accepts_and_closes_for_ever_is_not_stormed(acknowledged: bool, seed: int) -> None:
    def accept_then_close(driver: Driver) -> None:
        driver.accept()
        if acknowledged:
            driver.acknowledge()
        driver.lose("closed", 1000)

    driver = Driver("AAPL", settings=SETTINGS, on_open=accept_then_close, dice=random.Random(seed).uniform).start()
    driver.advance(300.0)
    assert len(driver.dials) <= 30
    driver.advance(3300.0)
    assert 90 < len(driver.dials) < 150


def test_a_server_that_answers_prices_and_closes_at_once_is_not_stormed_either() -> None:
    def one_price_then_close(driver: Driver) -> None:
        driver.accept()
        driver.acknowledge()
        driver.price()
        driver.do(driver.session.wake(driver.now, driver.frames, driver.ticks))
        driver.lose("reset")

    driver = Driver("AAPL", settings=SETTINGS, on_open=one_price_then_close).start()
    driver.advance(300.0)
    assert len(driver.dials) <= 30


@pytest.mark.parametrize(
    ("code", "least"),
    [(1000, 1.0), (1001, 1.0), (1006, 1.0), (1008, 30.0), (1011, 1.0), (1012, 17.5), (1013, 30.0), (4000, 1.0)],
)
def test_close_codes_raise_the_delay(code: int, least: float) -> None:
    driver = live("AAPL", settings=EXACT)
    driver.lose("closed", code)
    assert [fact.delay for fact in driver.told(Reconnecting)] == [least]


@pytest.mark.parametrize(
    ("reason", "told"), [("closed", False), ("going_away", False), ("restart", False), ("reset", True)]
)
def test_a_goodbye_is_no_error_and_a_broken_connection_is_one(reason: str, told: bool) -> None:
    driver = live("AAPL")
    driver.lose(reason, 1000 if not told else 1006)
    assert bool(driver.told(Failed)) is told
    assert driver.told(Disconnected) == [Disconnected(reason, expected=not told)]


def test_retry_after_raises_the_delay() -> None:
    driver = Driver("AAPL", settings=EXACT, on_open=lambda _: None).start()
    driver.refuse(HandshakeRejected("HTTP 429", status=429, retry_after=120.0))
    assert driver.told(Reconnecting) == [Reconnecting(1, 120.0, "handshake")]
    assert [fact.word for fact in driver.told(Failed)] == ["handshake"]


def test_one_connection_too_many_keeps_us_away_for_a_minute_or_two() -> None:
    driver = live("AAPL")
    driver.say(ProviderFault(FaultKind.CONNECTION_LIMIT, "too many connections"))
    assert driver.closes == 1
    assert driver.told(Reconnecting) == [Reconnecting(1, 90.0, "connection_limit")]


def test_other_complaints_are_told_once_a_minute_and_change_nothing() -> None:
    driver = live("AAPL")
    for n in range(1000):
        driver.say(ProviderFault(FaultKind.TRANSIENT, f"boom {n}"))
    driver.say(ProviderFault(FaultKind.OVER_CAP, "too many symbols"))
    assert [fact.word for fact in driver.told(Failed)] == ["transient", "over_cap"]
    assert driver.state == "live"
    driver.say(ProviderFault(FaultKind.SYMBOL_REJECTED, "no", "AAPL"))
    assert driver.told(SymbolsRejected) == [SymbolsRejected({"AAPL": "no"})]
    driver.say(ProviderFault(FaultKind.SLOW_CONSUMER, "too slow"))
    assert driver.told(Disconnected) == [Disconnected("slow_consumer", expected=False)]


# --- the key is refused


def unauthorised(driver: Driver) -> None:
    driver.refuse(HandshakeRejected("HTTP 401", status=401))


def test_a_refused_key_parks_and_is_tried_every_quarter_of_an_hour() -> None:
    driver = Driver("AAPL", settings=SETTINGS, on_open=unauthorised, dice=random.Random(1).uniform).start()
    assert driver.state == "parked"
    driver.advance(24 * 3600.0)
    gaps = [later - earlier for earlier, later in zip(driver.dials, driver.dials[1:], strict=False)]
    assert all(720.0 <= gap <= 1080.0 for gap in gaps)
    assert len(set(gaps)) > 10
    assert all(isinstance(fact.error, AuthenticationFailed) for fact in driver.told(Failed))
    assert driver.told(Reconnecting) == []


def test_a_parked_session_dials_at_once_when_told() -> None:
    driver = Driver("AAPL", settings=SETTINGS, on_open=unauthorised).start()
    driver.on_open = Driver.accept
    driver.do(driver.session.retry_now(driver.now))
    driver.acknowledge()
    assert driver.state == "live"
    driver.do(driver.session.retry_now(driver.now))
    assert len(driver.dials) == 2


def test_a_key_refused_in_band_closes_and_parks() -> None:
    driver = Driver("AAPL", settings=SETTINGS).start()
    driver.say_json(status="error", message="Your API key is invalid")
    assert driver.closes == 1
    assert driver.state == "parked"
    (failed,) = driver.told(Failed)
    assert str(failed.error) == "the provider refused the key: Your API key is invalid"


def test_a_key_refused_by_the_close_frame_parks() -> None:
    driver = Driver("AAPL", settings=SETTINGS).start()
    driver.lose("policy", 1008, "invalid api key")
    assert driver.state == "parked"


def test_without_supervision_a_refused_key_is_the_end() -> None:
    driver = Driver("AAPL", settings=SETTINGS, on_open=unauthorised, supervised=False).start()
    assert driver.state == "stopped"
    assert isinstance(driver.session.error, AuthenticationFailed)
    driver.advance(3600.0)
    assert len(driver.dials) == 1


def test_without_supervision_the_first_dial_is_tried_once_and_later_ones_for_ever() -> None:
    error = TransportError("no route", reason="network")
    driver = Driver("AAPL", settings=SETTINGS, on_open=lambda made: made.refuse(error), supervised=False).start()
    assert driver.session.error is error
    driver = live("AAPL", supervised=False)
    driver.on_open = lambda made: made.refuse(error)
    driver.lose()
    driver.advance(600.0)
    assert driver.state == "backoff"
    assert len(driver.dials) > 10


def test_exhausted_attempts_end_with_the_last_error() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, reconnect=ReconnectSettings(max_attempts=3)))
    driver.on_open = lambda made: made.refuse(TransportError("no route", reason="network"))
    driver.lose()
    driver.advance(600.0)
    assert driver.state == "stopped"
    assert str(driver.session.error) == "no route"
    assert len(driver.dials) == 4


def test_with_reconnecting_switched_off_a_loss_is_the_end() -> None:
    driver = live("AAPL")
    driver.do(driver.session.configure(replace(SETTINGS, reconnect=ReconnectSettings(enabled=False)), driver.now))
    driver.lose("closed", 1000)
    assert driver.state == "stopped"
    assert str(driver.session.error) == "the server closed the connection (1000)"


# --- stopping, and events that come too late


def test_stopping_unsubscribes_says_goodbye_and_dials_no_more() -> None:
    driver = live("AAPL", "MSFT")
    driver.do(driver.session.stop(driver.now))
    assert driver.asked("unsubscribe") == [["AAPL", "MSFT"]]
    assert driver.closes == 1
    assert driver.state == "stopped"
    assert driver.told(Disconnected) == [Disconnected("stopped", expected=True)]
    assert driver.session.error is None
    driver.advance(3600.0)
    assert len(driver.dials) == 1


def test_stopping_never_waits_for_the_pace() -> None:
    driver = live("AAPL")
    for n in range(200):
        driver.do(driver.session.want([f"S{n}"], driver.now))
    while driver.session.send_wait(driver.now) == 0:
        driver.do(driver.session.send('{"action":"x"}', driver.now))
    for _ in range(6):
        driver.do(driver.session.send('{"action":"x"}', driver.now))
    driver.do(driver.session.stop(driver.now))
    assert driver.closes == 1
    assert driver.asked("unsubscribe") == []


def test_a_session_starts_again_after_it_was_stopped() -> None:
    driver = live("AAPL")
    driver.do(driver.session.stop(driver.now))
    driver.start()
    driver.acknowledge()
    assert driver.state == "live"
    assert driver.told(Live) == [Live(again=False), Live(again=False)]


def test_events_that_come_too_late_change_nothing() -> None:
    driver = live("AAPL")
    driver.do(driver.session.stop(driver.now))
    session, now = driver.session, driver.now
    driver.facts.clear()
    driver.do(session.message(ProviderFault(FaultKind.AUTH, "no"), now))
    driver.do(session.refused(TransportError("late"), now))
    driver.do(session.lost(Loss("eof"), now))
    driver.do(session.pinged(b"", now))
    driver.do(session.ponged(now))
    driver.do(session.wake(now, 5, 5))
    assert driver.facts == []
    assert session.state == "stopped"
    assert session.opened(now, 0, 0) == [Abort(), WaitUntil(None)]


def test_sending_without_a_connection_is_an_error() -> None:
    with pytest.raises(TransportError, match="not connected"):
        Driver("AAPL").session.send("{}", 0.0)


def test_each_dial_has_an_adapter_of_its_own() -> None:
    made: list[Adapter] = []

    def new() -> Adapter:
        made.append(TwelveData(Terms()))
        return made[-1]

    driver = live("AAPL", new_adapter=new)
    driver.lose()
    driver.advance(5.0)
    assert len(made) == 3  # the first one is there before the first dial
    assert all("AAPL" in adapter.symbols for adapter in made[1:])


def test_what_a_provider_wants_first_is_sent_first() -> None:
    class Greeting(TwelveData):
        def on_open(self) -> tuple[str, ...]:
            return ('{"action":"hello"}',)

    driver = Driver("AAPL", settings=SETTINGS, new_adapter=Greeting).start()
    assert [message["action"] for message in driver.sent] == ["hello", "subscribe"]


def test_a_provider_may_want_no_heartbeat_at_the_moment() -> None:
    class Silent(TwelveData):
        def keepalive(self) -> None:
            return None

    driver = live("AAPL", new_adapter=Silent)
    driver.prices_every = 1.0
    driver.advance(60.0)
    assert len(driver.sent) == 1
    assert driver.state == "live"


def test_what_is_neither_answer_nor_complaint_changes_nothing() -> None:
    driver = live("AAPL")
    driver.say(Ignored("news"))
    assert driver.state == "live"


def test_a_profile_without_a_heartbeat_takes_pongs_for_proof() -> None:
    class Bare(TwelveData):
        profile: Profile = replace(PROFILE, heartbeat_interval=None, heartbeat_silence=None)  # type: ignore[misc]

    driver = Driver("AAPL", settings=EXACT, new_adapter=Bare).start()
    driver.acknowledge()
    driver.lose()
    driver.advance(1.1)
    driver.acknowledge()
    driver.advance(40.0)
    driver.lose()
    assert [fact.attempt for fact in driver.told(Reconnecting)] == [1, 1]
    assert all(message["action"] == "subscribe" for message in driver.sent)


# --- any order of events

events = st.lists(
    st.sampled_from(
        [
            *("accept", "refuse", "refuse_key", "lose", "close", "ack", "fail", "price", "beat", "complain", "park"),
            *("want", "unwant", "stop", "start", "retry", "wait1", "wait20", "ping", "pong", "off"),
        ]
    ),
    max_size=60,
)


@given(events, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_any_order_of_events_leaves_a_sound_session(names: list[str], dice: random.Random) -> None:
    chosen = replace(SETTINGS, stale_after=StaleSettings(connection=60.0))
    driver = Driver("AAPL", settings=chosen, on_open=lambda _: None, dice=dice.uniform).start()
    session = driver.session
    steps: dict[str, Callable[[], object]] = {
        "accept": driver.accept,
        "refuse": lambda: driver.refuse(TransportError("no")),
        "refuse_key": lambda: driver.refuse(HandshakeRejected("no", status=401)),
        "lose": driver.lose,
        "close": lambda: driver.lose("closed", 1000),
        "ack": driver.acknowledge,
        "fail": lambda: driver.acknowledge(AAPL="no"),
        "price": driver.price,
        "beat": lambda: driver.say_json(event="heartbeat"),
        "complain": lambda: driver.say(ProviderFault(FaultKind.TRANSIENT, "x")),
        "park": lambda: driver.say(ProviderFault(FaultKind.AUTH, "x")),
        "want": lambda: driver.do(session.want(["MSFT", "TSLA"], driver.now)),
        "unwant": lambda: driver.do(session.unwant(["MSFT", "AAPL"], driver.now)),
        "stop": lambda: driver.do(session.stop(driver.now)),
        "start": driver.start,
        "retry": lambda: driver.do(session.retry_now(driver.now)),
        "wait1": lambda: driver.advance(1.0),
        "wait20": lambda: driver.advance(20.0),
        "ping": lambda: driver.do(session.pinged(b"", driver.now)),
        "pong": lambda: driver.do(session.ponged(driver.now)),
        "off": lambda: driver.do(
            session.configure(replace(chosen, heartbeat=HeartbeatSettings(enabled=False)), driver.now)
        ),
    }
    for name in names:
        steps[name]()
        if session.state in ("subscribing", "live"):
            assert session.is_open
        if session.state in ("connecting", "backoff", "parked", "stopped"):
            assert not session.is_open
        assert session.error is None
    # Whatever happened, it comes back by itself, unless it was stopped, and asks for what is wanted.
    if session.state == "stopped":
        driver.start()
    driver.on_open = answer_at_once
    if session.state == "connecting":
        driver.accept()
    driver.advance(1100.0)
    driver.acknowledge()
    assert session.is_open
    refused = {symbol for symbol, (state, _) in session.subscriptions.states() if state == "rejected"}
    assert set(session.subscriptions.confirmed) == set(session.subscriptions.wanted) - refused


def test_open_is_a_command_of_its_own() -> None:
    driver = Driver("AAPL")
    assert driver.session.start(0.0, supervised=True) == [Open(), WaitUntil(None)]
    assert driver.session.start(0.0, supervised=True) == []


# --- silence over connections that are lost


def test_connections_that_are_acknowledged_and_dropped_without_a_price_are_one_silence() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection=60.0)))
    for _ in range(10):
        driver.advance(20)
        if driver.told(Stale):
            break
        driver.lose()
        driver.advance(5)
        if driver.state == "subscribing":
            driver.acknowledge()
    (stale,) = driver.told(Stale)
    assert 60 <= stale.silent_seconds <= 62
    assert len(driver.dials) in (3, 4)
    driver.advance(20)
    driver.acknowledge()
    assert driver.state == "stale"
    driver.price()
    driver.advance(2)
    assert driver.state == "live"
    assert len(driver.told(Resumed)) == 1


def test_a_price_before_each_loss_is_no_silence_even_when_nobody_has_looked_yet() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection=60.0)))
    for _ in range(10):
        driver.advance(20)
        driver.price()
        driver.lose()
        driver.advance(5)
        driver.acknowledge()
    assert driver.told(Stale) == []


def test_the_time_without_a_connection_is_no_silence() -> None:
    driver = live("AAPL", settings=replace(SETTINGS, stale_after=StaleSettings(connection=60.0)))
    driver.advance(30)
    driver.on_open = lambda _driver: None
    driver.lose()
    driver.advance(600)
    driver.accept()
    driver.acknowledge()
    driver.advance(25)
    assert driver.told(Stale) == []
    driver.advance(7)
    assert len(driver.told(Stale)) == 1


def test_a_session_that_takes_the_place_of_another_goes_on_waiting() -> None:
    chosen = replace(SETTINGS, stale_after=StaleSettings(connection=60.0))
    for goes_on in (True, False):
        old, new = live("AAPL", settings=chosen), Driver("AAPL", settings=chosen)
        old.advance(45)
        new.now = old.now
        new.start().acknowledge()
        if goes_on:
            new.do(new.session.go_on_from(old.session.silence(old.now), new.now))
        new.advance(20)
        assert bool(new.told(Stale)) is goes_on


def test_where_a_provider_is_polled_only_a_written_limit_counts() -> None:
    polled = replace(PROFILE, transport="poll")

    class Polled(TwelveData):
        profile = polled

    for chosen, stale in ((StaleSettings(), False), (StaleSettings(connection=float("60")), True)):
        driver = live("AAPL", settings=replace(SETTINGS, stale_after=chosen), new_adapter=Polled)
        driver.advance(100)
        assert bool(driver.told(Stale)) is stale
