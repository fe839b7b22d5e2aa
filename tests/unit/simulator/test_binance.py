"""The simulated Binance says what the documentation says, to the letter."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.binance import Binance
from pricestreamd.simulator.binance_voice import first_id
from pricestreamd.simulator.dialect import Channel, Limits, Session
from pricestreamd.simulator.scenarios import SCENARIOS
from tests.unit.simulator.conversing import Prices, opened, refused, request, said


def raw(provider: Binance, streams: str = "", **query: str) -> Session:
    return opened(provider, "/ws/" + streams, query, streams=streams)


def combined(provider: Binance, streams: str = "", **query: str) -> Session:
    return opened(provider, "/stream", {"streams": streams, **query})


def ask(method: str, *params: object, number: object = 1) -> dict[str, object]:
    return {"method": method, "params": list(params), "id": number}


def heard(session: Session, message: object) -> dict[str, tuple[str, ...]]:
    """The kinds of streams that are heard after a message, with their symbols."""
    [reply] = session.receive(json.dumps(message), 0.0)
    assert reply.listens is not None
    return by_kind(reply.listens)


def by_kind(channels: tuple[Channel, ...]) -> dict[str, tuple[str, ...]]:
    return {channel.voice.kind: channel.keys for channel in channels}  # type: ignore[attr-defined] # all are streams


def told(session: Session, stream: str, ticks: list[Tick], ids: list[int]) -> list[Any]:
    [reply] = session.receive(json.dumps(ask("SUBSCRIBE", stream)), 0.0)
    assert reply.listens
    voice = reply.listens[-1].voice
    items = voice.items(ticks, ids)
    return (
        [json.loads(voice.message([item])) for item in items]
        if voice.gathers == "never"
        else [json.loads(voice.message(items))]
    )


TICK = Tick("BNBBTC", 0.001, 1672515782.136, 0.0, 100.0)


# --- requests


def test_requests_are_acknowledged_with_their_id() -> None:
    session = raw(Binance())
    for number in (1, -5, 2**63 - 1, "abc-1_2", "x" * 36, None):
        assert said(session, ask("SUBSCRIBE", "btcusdt@aggTrade", number=number)) == {"result": None, "id": number}
    assert said(session, ask("LIST_SUBSCRIPTIONS", number=3)) == {"result": ["btcusdt@aggTrade"], "id": 3}
    assert said(session, ask("UNSUBSCRIBE", "btcusdt@aggTrade")) == {"result": None, "id": 1}
    assert said(session, {"method": "LIST_SUBSCRIPTIONS", "id": 4}) == {"result": [], "id": 4}


def test_subscriptions_are_additive_and_grouped_by_kind() -> None:
    session = raw(Binance())
    assert heard(session, ask("SUBSCRIBE", "btcusdt@trade", "ethusdt@trade")) == {"trade": ("BTCUSDT", "ETHUSDT")}
    assert heard(session, ask("SUBSCRIBE", "btcusdt@bookTicker", "btcusdt@trade")) == {
        "trade": ("BTCUSDT", "ETHUSDT"),
        "bookTicker": ("BTCUSDT",),
    }
    assert heard(session, ask("UNSUBSCRIBE", "btcusdt@trade", "nope@trade")) == {
        "trade": ("ETHUSDT",),
        "bookTicker": ("BTCUSDT",),
    }


@pytest.mark.parametrize(
    "stream",
    ["BTCUSDT@trade", "nosuch@trade", "btcusdt@depth", "btcusdt@kline_1m", "btcusdt", "@trade", "aapl@aggTrade"],
)
def test_what_there_is_not_is_acknowledged_listed_and_silent(stream: str) -> None:
    session = raw(Binance())
    assert heard(session, ask("SUBSCRIBE", stream)) == {}
    assert said(session, ask("LIST_SUBSCRIPTIONS"))["result"] == [stream]


def test_streams_may_stand_in_the_address() -> None:
    for session in (raw(Binance(), "btcusdt@trade/ethusdt@trade"), combined(Binance(), "btcusdt@trade/ethusdt@trade")):
        [reply] = session.opened()
        assert reply.text is None
        assert reply.listens is not None
        assert by_kind(reply.listens) == {"trade": ("BTCUSDT", "ETHUSDT")}
    assert raw(Binance()).opened() == []


def test_whether_messages_are_wrapped_is_a_property_that_can_be_asked_and_set() -> None:
    for session, wrapped in ((raw(Binance()), False), (combined(Binance()), True)):
        assert said(session, ask("GET_PROPERTY", "combined", number=2)) == {"result": wrapped, "id": 2}
        assert said(session, ask("SET_PROPERTY", "combined", not wrapped, number=5)) == {"result": None, "id": 5}
        assert said(session, ask("GET_PROPERTY", "combined", number=2))["result"] is not wrapped
        [event] = told(session, "bnbbtc@trade", [TICK], [0])
        assert ("stream" in event) is not wrapped


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("{", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 2"}),
        ("", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
        ("[" * 3000, {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
        ("[]", {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 2"}),
        ({"id": 1}, {"code": 2, "msg": "Invalid request: missing field `method` at line 1 column 9"}),
        (
            {"method": "SING", "id": 1},
            {
                "code": 2,
                "msg": (
                    "Invalid request: unknown variant `SING`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
                    "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 27"
                ),
            },
        ),
        (
            {"method": "SUBSCRIBE", "params": ["a@trade"]},
            {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"},
        ),
        (ask("SUBSCRIBE", "a", number=1.5), {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}),
        (ask("SUBSCRIBE", "a", number="x" * 37), {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}),
        (ask("SUBSCRIBE", "a", number=True), {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}),
        (ask("GET_PROPERTY", "color", number=9), {"code": 0, "msg": "Unknown property", "id": 9}),
        (ask("GET_PROPERTY"), {"code": 2, "msg": "Invalid request: property name must be a string"}),
        (ask("GET_PROPERTY", 7), {"code": 2, "msg": "Invalid request: property name must be a string"}),
        (ask("GET_PROPERTY", "combined", True), {"code": 2, "msg": "Invalid request: too many parameters"}),
        (ask("SET_PROPERTY", "combined", True, 1), {"code": 2, "msg": "Invalid request: too many parameters"}),
        (ask("SET_PROPERTY", "combined", "yes"), {"code": 1, "msg": "Invalid value type: expected Boolean"}),
        (ask("SET_PROPERTY", "combined"), {"code": 1, "msg": "Invalid value type: expected Boolean"}),
    ],
)  # fmt: skip
def test_errors_are_those_of_the_table(message: object, answer: dict[str, object]) -> None:
    assert said(combined(Binance()), message) == answer


@pytest.mark.parametrize("params", [{}, "btcusdt@trade", [], [7], ["a@trade", None]])
def test_a_subscription_without_a_list_of_names_is_an_error(params: object) -> None:
    assert said(raw(Binance()), {"method": "SUBSCRIBE", "params": params, "id": 1})["code"] == 2


@given(st.text(max_size=300))
def test_no_text_whatever_is_too_much_for_it(text: str) -> None:
    for reply in raw(Binance()).receive(text, 0.0):
        assert reply.text is not None
        assert reply.text.isascii()


def test_a_request_that_is_too_long_is_never_answered() -> None:
    session = raw(Binance())
    assert session.receive(json.dumps(ask("SUBSCRIBE", *(f"coin{n}usdt@trade" for n in range(300)))), 0.0) == []
    assert said(session, ask("LIST_SUBSCRIPTIONS"))["result"] == []


def test_more_than_1024_streams_are_refused_and_those_before_stay() -> None:
    session = raw(Binance())
    for start in range(0, 1000, 100):
        said(session, ask("SUBSCRIBE", *(f"c{n}usdt@trade" for n in range(start, start + 100))))
    too_many = ask("SUBSCRIBE", *(f"d{n}usdt@trade" for n in range(25)), number=19)
    assert said(session, too_many) == {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 19}
    assert len(said(session, ask("LIST_SUBSCRIPTIONS"))["result"]) == 1000
    assert refused(Binance(), "/stream", {"streams": "/".join(f"c{n}usdt@trade" for n in range(1025))}).status == 400


def test_a_sixth_message_within_a_second_is_the_end() -> None:
    session = raw(Binance())
    assert [session.heard(now) for now in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)] == [None] * 6
    complaint = session.heard(1.1)
    assert complaint is not None
    assert complaint.close == (1008, "Too many requests")


# --- events


def test_a_trade_has_the_documented_shape() -> None:
    first = first_id("BNBBTC")
    assert told(raw(Binance()), "bnbbtc@aggTrade", [TICK], [7]) == [
        {
            "e": "aggTrade",
            "E": 1672515782136,
            "s": "BNBBTC",
            "a": first + 7,
            "p": "0.00100000",
            "q": "100.00000000",
            "f": first * 3 + 7,
            "l": first * 3 + 7,
            "T": 1672515782136,
            "m": True,
            "M": True,
        }
    ]
    assert told(raw(Binance()), "bnbbtc@trade", [TICK], [8]) == [
        {
            "e": "trade",
            "E": 1672515782136,
            "s": "BNBBTC",
            "t": first * 3 + 8,
            "p": "0.00100000",
            "q": "100.00000000",
            "T": 1672515782136,
            "m": False,
            "M": True,
        }
    ]


def test_the_best_bid_and_ask_have_no_event_and_no_time() -> None:
    [event] = told(raw(Binance()), "bnbbtc@bookTicker", [TICK], [1])
    assert set(event) == {"u", "s", "b", "B", "a", "A"}
    assert float(event["b"]) <= float(event["a"])


def test_a_wrapped_event_names_its_stream_in_lower_case() -> None:
    [event] = told(combined(Binance()), "bnbbtc@aggTrade", [TICK], [1])
    assert event["stream"] == "bnbbtc@aggTrade"
    assert event["data"]["s"] == "BNBBTC"


def test_times_are_finer_where_the_address_says_so() -> None:
    for unit in ("MICROSECOND", "microsecond"):
        [event] = told(raw(Binance(), timeUnit=unit), "bnbbtc@aggTrade", [TICK], [1])
        assert event["T"] == event["E"] == 1672515782136000
    [event] = told(raw(Binance(), timeUnit="MILLISECOND"), "bnbbtc@aggTrade", [TICK], [1])
    assert event["T"] == 1672515782136


def test_summaries_have_the_extremes_and_sums_since_the_start() -> None:
    provider = Binance()
    ticks = [Tick("BNBBTC", price, 1.0, 0.0, 2.0) for price in (2.0, 4.0, 1.0, 3.0)]
    provider.note(ticks)
    session = raw(provider)
    [event] = told(session, "bnbbtc@miniTicker", ticks[-1:], [4])
    assert (event["e"], event["o"], event["h"], event["l"], event["c"]) == (
        "24hrMiniTicker", "2.00000000", "4.00000000", "1.00000000", "3.00000000",
    )  # fmt: skip
    assert (event["v"], event["q"]) == ("8.00000000", "20.00000000")
    [ticker] = told(session, "bnbbtc@ticker", ticks[-1:], [4])
    assert (ticker["e"], ticker["p"], ticker["P"]) == ("24hrTicker", "1.00000000", "33.333")


def test_all_summaries_come_in_one_array() -> None:
    ticks = [TICK, Tick("BTCUSDT", 68_000.0, 1.0, 0.0, 1.0)]
    [array] = told(raw(Binance()), "!miniTicker@arr", ticks, [1, 1])
    assert [event["s"] for event in array] == ["BNBBTC", "BTCUSDT"]
    [wrapped] = told(combined(Binance()), "!miniTicker@arr", ticks, [1, 1])
    assert wrapped["stream"] == "!miniTicker@arr"
    assert len(wrapped["data"]) == 2


def test_summaries_are_told_once_a_second_and_trades_at_once() -> None:
    [reply] = raw(Binance()).receive(json.dumps(ask("SUBSCRIBE", "bnbbtc@miniTicker", "bnbbtc@trade")), 0.0)
    assert reply.listens is not None
    assert {channel.voice.kind: channel.voice.every for channel in reply.listens} == {"miniTicker": 1.0, "trade": 0.0}  # type: ignore[attr-defined] # as above


def test_what_a_file_calls_otherwise_has_the_providers_name() -> None:
    tick = Tick("BTC/USDT", 1.5, 1.0, 0.0, 1.0)
    [event] = told(combined(Binance()), "btcusdt@trade", [tick], [1])
    assert (event["stream"], event["data"]["s"]) == ("btcusdt@trade", "BTCUSDT")


def test_a_shutdown_is_announced() -> None:
    assert json.loads(raw(Binance()).farewell(1770123456.789) or "") == {"e": "serverShutdown", "E": 1770123456789}
    assert json.loads(combined(Binance()).farewell(1770123456.789) or "") == {
        "stream": "!serverShutdown",
        "data": {"e": "serverShutdown", "E": 1770123456789},
    }


def test_in_ledger_mode_the_volume_is_the_number() -> None:
    provider, tick = Binance(ledger=True), Tick("BNBBTC", 1.5, 1.0, 0.0, 1_234_567.0)
    provider.note([tick])
    assert float(told(raw(provider), "bnbbtc@aggTrade", [tick], [1])[0]["q"]) == 1_234_567
    assert float(told(raw(provider), "bnbbtc@miniTicker", [tick], [1])[0]["v"]) == 1_234_567


@pytest.mark.parametrize(
    ("symbol", "key"),
    [
        ("btcusdt", "BTCUSDT"),
        ("BTC/USDT", "BTCUSDT"),
        (" btc/usdt ", "BTCUSDT"),
        ("1000satsusdt", "1000SATSUSDT"),
        ("AAPL", None),
        ("USDT", None),
        ("", None),
        ("BTC-USDT", None),
        ("ÄUSDT", None),
        ("X" * 30 + "USDT", None),
    ],
)
def test_a_pair_of_coins_has_one_key(symbol: str, key: str | None) -> None:
    assert Binance().key(symbol) == key


# --- scenarios


def test_refused_symbols_are_silent_or_spoil_their_request() -> None:
    streams = [f"{coin}usdt@trade" for coin in ("btc", "eth", "bnb", "sol")]
    for name in ("reject-some", "silent-some"):
        assert heard(raw(Binance(SCENARIOS[name])), ask("SUBSCRIBE", *streams)) == {
            "trade": ("BTCUSDT", "ETHUSDT", "SOLUSDT")
        }
    session = raw(Binance(SCENARIOS["error-some"]))
    assert said(session, ask("SUBSCRIBE", *streams)) == {
        "code": 2,
        "msg": "Invalid request: unknown stream bnbusdt@trade",
    }
    assert said(session, ask("LIST_SUBSCRIPTIONS"))["result"] == []
    assert heard(raw(Binance(SCENARIOS["partial-ack"])), ask("SUBSCRIBE", *streams)) == {
        "trade": ("BTCUSDT", "ETHUSDT")
    }


# --- plain requests


def get(name: str, query: dict[str, str] | None = None) -> tuple[int, Any]:
    prices = Prices({"BTCUSDT": 68_000.5, "ETHUSDT": 2_650.0})
    answer = Binance().answer(request(f"/api/v3/{name}", query), prices, 0.0)
    return answer.status, json.loads(answer.body)


def test_the_requests_that_clients_start_with_are_answered() -> None:
    assert get("ping") == (200, {})
    assert get("time") == (200, {"serverTime": 1_700_000_000_000})
    status, info = get("exchangeInfo", {"symbol": "BTCUSDT"})
    assert status == 200
    assert info["symbols"][0]["baseAsset"] == "BTC"
    assert info["symbols"][0]["quoteAsset"] == "USDT"
    assert len(get("exchangeInfo")[1]["symbols"]) > 3


def test_the_last_prices_are_asked_for_one_by_one_or_as_a_list_or_all() -> None:
    assert get("ticker/price", {"symbol": "BTCUSDT"}) == (200, {"symbol": "BTCUSDT", "price": "68000.50000000"})
    both = [{"symbol": "ETHUSDT", "price": "2650.00000000"}, {"symbol": "BTCUSDT", "price": "68000.50000000"}]
    assert get("ticker/price", {"symbols": '["ETHUSDT","BTCUSDT"]'}) == (200, both)
    assert get("ticker/price") == (200, both[::-1])
    assert get("ticker/bookTicker", {"symbol": "BTCUSDT"})[1]["bidPrice"] == "68000.50000000"
    assert get("trades", {"symbol": "BTCUSDT"})[1][0]["price"] == "68000.50000000"
    assert get("aggTrades", {"symbol": "BTCUSDT"})[1][0]["p"] == "68000.50000000"
    assert get("ticker/price", {"symbol": "XRPUSDT"}) == (200, {})


@pytest.mark.parametrize(
    ("name", "query", "code"),
    [
        ("ticker/price", {"symbol": "NOSUCH"}, -1121),
        ("ticker/price", {"symbol": "btcusdt"}, -1121),
        ("ticker/price", {"symbols": '["BTCUSDT","NOSUCH"]'}, -1121),
        ("ticker/price", {"symbols": "BTCUSDT"}, -1100),
        ("ticker/price", {"symbols": "[]"}, -1100),
        ("ticker/price", {"symbol": "BTCUSDT", "symbols": '["BTCUSDT"]'}, -1128),
        ("trades", {}, -1102),
    ],
)
def test_a_plain_request_that_cannot_be_answered_has_a_code(name: str, query: dict[str, str], code: int) -> None:
    status, answer = get(name, query)
    assert (status, answer["code"]) == (400, code)


def test_the_limits_are_the_documented_ones() -> None:
    assert Binance().limits == Limits(
        connects=300, connects_window=300.0, messages_per_second=5, lifetime=86_400.0, ping_every=20.0,
        pong_within=60.0, max_symbols=1024,
    )  # fmt: skip
    assert Binance().credential(request("/ws", {"apikey": "k"})) is None
