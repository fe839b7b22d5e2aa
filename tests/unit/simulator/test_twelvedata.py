"""The simulated Twelve Data says what the real one says, to the letter where it is known."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.dialect import Limits, Reply, Session
from pricestreamd.simulator.scenarios import SCENARIOS
from pricestreamd.simulator.twelvedata import TwelveData
from tests.unit.simulator.conversing import Prices, opened, request


def say(session: Session, message: object, now: float = 0.0) -> tuple[dict[str, Any], Reply]:
    text = message if isinstance(message, str) else json.dumps(message)
    [reply] = session.receive(text, now)
    assert reply.text is not None
    return json.loads(reply.text), reply


def subscribe(session: Session, symbols: object) -> tuple[dict[str, Any], Reply]:
    return say(session, {"action": "subscribe", "params": {"symbols": symbols}})


def unsubscribe(session: Session, symbols: object) -> tuple[dict[str, Any], Reply]:
    return say(session, {"action": "unsubscribe", "params": {"symbols": symbols}})


def frame(provider: TwelveData, symbol: str, price: float, timestamp: float, volume: float | None = None) -> str:
    return provider.frame(Tick(symbol, price, timestamp, timestamp, volume))


def test_an_acknowledgement_names_each_symbol_with_its_market() -> None:
    answer, reply = subscribe(opened(TwelveData()), "AAPL,RY,RY:TSX,EUR/USD,BTC/USD,XAU/USD")
    assert answer == {
        "event": "subscribe-status",
        "status": "ok",
        "success": [
            {
                "symbol": "AAPL",
                "exchange": "NASDAQ",
                "mic_code": "XNGS",
                "country": "United States",
                "type": "Common Stock",
            },
            {
                "symbol": "RY",
                "exchange": "NYSE",
                "mic_code": "XNYS",
                "country": "United States",
                "type": "Common Stock",
            },
            {"symbol": "RY", "exchange": "TSX", "mic_code": "XTSE", "country": "Canada", "type": "Common Stock"},
            {"symbol": "EUR/USD", "exchange": "FOREX", "country": "", "type": "Physical Currency"},
            {"symbol": "BTC/USD", "exchange": "Coinbase Pro", "type": "Digital Currency"},
            {"symbol": "XAU/USD", "exchange": "FOREX", "country": "", "type": "Physical Currency"},
        ],
        "fails": [],
    }
    assert reply.subscribed == ("AAPL", "RY", "RY:TSX", "EUR/USD", "BTC/USD", "XAU/USD")


@pytest.mark.parametrize(
    ("symbols", "key"),
    [
        ("AAPL", "AAPL"),
        ("aapl", "AAPL"),
        (" AAPL ", "AAPL"),
        ("AAPL:NASDAQ", "AAPL"),
        ("AAPL:XNGS", "AAPL"),
        ("AAPL:XNAS", "AAPL"),
        ("AAPL:XETR", "AAPL:XETR"),
        ("RY:TSX", "RY:TSX"),
        ("RY:XTSE", "RY:TSX"),
        ("BT.A:LSE", "BT.A:LSE"),
        ("btc/usd:Huobi", "BTC/USD:Huobi"),
        ("BTC/USD:Coinbase Pro", "BTC/USD"),
        ([{"symbol": "BTC/USD", "exchange": "Coinbase Pro"}], "BTC/USD"),
        ("EUR/USD", "EUR/USD"),
        ([{"symbol": "AAPL", "exchange": "NASDAQ"}], "AAPL"),
        ([{"symbol": "RY", "mic_code": "XTSE"}], "RY:TSX"),
        ([{"symbol": "RY", "mic_code": "XNYS"}], "RY"),
        ([{"symbol": "EUR/USD", "type": "Forex"}], "EUR/USD"),
        ([{"symbol": "RY:TSX"}], "RY:TSX"),
        (["AAPL"], "AAPL"),
    ],
)
def test_every_way_of_naming_an_instrument_leads_to_its_one_key(symbols: object, key: str) -> None:
    _, reply = subscribe(opened(TwelveData()), symbols)
    assert reply.subscribed == (key,)


def test_subscriptions_add_up_and_one_twice_is_one() -> None:
    session = opened(TwelveData())
    subscribe(session, "AAPL,MSFT")
    answer, reply = subscribe(session, "MSFT,TSLA,TSLA")
    assert [entry["symbol"] for entry in answer["success"]] == ["MSFT", "TSLA"]
    assert reply.subscribed == ("AAPL", "MSFT", "TSLA")


def test_unsubscribing_leaves_the_others_and_says_what_was_not_there() -> None:
    session = opened(TwelveData())
    subscribe(session, "AAPL,MSFT,TSLA")
    answer, reply = unsubscribe(session, "AAPL,IBM")
    assert (answer["event"], answer["status"]) == ("unsubscribe-status", "warning")
    assert [entry["symbol"] for entry in answer["success"]] == ["AAPL"]
    assert [entry["symbol"] for entry in answer["fails"]] == ["IBM"]
    assert reply.subscribed == ("MSFT", "TSLA")


def test_a_reset_forgets_every_subscription() -> None:
    session = opened(TwelveData())
    subscribe(session, "AAPL,MSFT")
    answer, reply = say(session, {"action": "reset"})
    assert answer == {"event": "reset-status", "status": "ok"}
    assert reply.subscribed == ()


def test_a_heartbeat_is_answered() -> None:
    answer, reply = say(opened(TwelveData()), {"action": "heartbeat"})
    assert answer == {"event": "heartbeat", "status": "ok"}
    assert reply.subscribed is None


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        '"subscribe"',
        "[" * 100_000,
        "{}",
        {"action": "subscribe"},
        {"action": "subscribe", "params": None},
        {"action": "subscribe", "params": {"symbols": 7}},
        {"action": "subscribe", "params": {"symbols": ""}},
        {"action": "subscribe", "params": {"symbols": []}},
        {"action": "subscribe", "params": {"symbols": [7]}},
        {"action": "subscribe", "params": {"symbols": [{"exchange": "TSX"}]}},
    ],
)
def test_a_request_that_cannot_be_read_is_answered_by_messages_and_changes_nothing(message: object) -> None:
    session = opened(TwelveData())
    subscribe(session, "AAPL")
    answer, reply = say(session, message)
    assert answer == {"event": "subscribe-status", "status": "error", "messages": ["Cant parse message"]}
    assert reply.subscribed is None
    assert subscribe(session, "MSFT")[1].subscribed == ("AAPL", "MSFT")


@pytest.mark.parametrize("action", ["sing", None, 7, ["subscribe"], {"a": 1}])
def test_an_unknown_action_is_an_error(action: object) -> None:
    answer, _ = say(opened(TwelveData()), {"action": action, "params": {"symbols": "AAPL"}})
    assert answer == {"event": "subscribe-status", "status": "error", "messages": ["Unknown action"]}


@given(st.text() | st.binary().map(repr))
def test_no_text_whatever_is_too_much_for_it(text: str) -> None:
    [reply] = opened(TwelveData()).receive(text, 0.0)
    assert reply.text is not None
    assert json.loads(reply.text)["event"]
    assert reply.text.isascii()


@pytest.mark.parametrize("symbol", ["", "A B", "A\\B", 'A"B', "Ä", "A\nB", "X" * 50, "/USD", "USD/", ":TSX"])
def test_a_text_that_cannot_be_a_symbol_fails_alone(symbol: str) -> None:
    answer, reply = subscribe(opened(TwelveData()), [{"symbol": "AAPL"}, {"symbol": symbol}])
    assert answer["status"] == "warning"
    assert [fail["message"] for fail in answer["fails"]] == ["symbol not found"]
    assert reply.subscribed == ("AAPL",)


def test_where_nothing_succeeds_the_status_is_error() -> None:
    answer, reply = subscribe(opened(TwelveData()), [{"symbol": "A B"}])
    assert (answer["status"], answer["success"]) == ("error", [])
    assert reply.subscribed == ()


def test_rejecting_some_refuses_every_third_symbol_and_always_the_same() -> None:
    provider = TwelveData(SCENARIOS["reject-some"])
    answer, reply = subscribe(opened(provider), "A,B,X,D,E,1211:HKEX")
    assert answer["status"] == "warning"
    assert answer["fails"] == [
        {"symbol": "X", "message": "You are not authorized to access XNGS data."},
        {"symbol": "1211:HKEX", "message": "You are not authorized to access XHKG data."},
    ]
    assert reply.subscribed == ("A", "B", "D", "E")
    assert subscribe(opened(provider), "E,X,B")[1].subscribed == ("E", "B")


def test_symbols_over_the_plan_are_in_fails() -> None:
    provider = TwelveData(limits=Limits(max_symbols=2))
    session = opened(provider)
    answer, reply = subscribe(session, "A,B,C")
    assert (answer["status"], [fail["symbol"] for fail in answer["fails"]]) == ("warning", ["C"])
    assert reply.subscribed == ("A", "B")
    assert subscribe(session, "A")[0]["status"] == "ok"


def test_terse_answers_have_null_for_nothing_and_name_no_market() -> None:
    provider = TwelveData(SCENARIOS["terse"])
    answer, _ = subscribe(opened(provider), "AAPL")
    assert answer == {
        "event": "subscribe-status",
        "status": "ok",
        "success": [{"symbol": "AAPL", "type": "Common Stock"}],
        "fails": None,
    }


def test_the_budget_of_messages_is_for_any_minute() -> None:
    session = opened(TwelveData(limits=Limits(messages_per_minute=3)))
    for now in (0.0, 30.0, 59.0):
        assert say(session, {"action": "heartbeat"}, now)[0]["event"] == "heartbeat"
    over, reply = say(session, {"action": "subscribe", "params": {"symbols": "AAPL"}}, 59.9)
    assert (over["event"], over["status"], over["code"]) == ("error", "error", 429)
    assert reply.subscribed is None
    assert say(session, {"action": "heartbeat"}, 60.0)[0]["event"] == "heartbeat"
    assert say(session, {"action": "heartbeat"}, 60.1)[0]["event"] == "error"


@pytest.mark.parametrize(
    ("symbol", "price", "volume", "expected"),
    [
        (
            "AAPL",
            164.13,
            100.0,
            (
                '{"event":"price","symbol":"AAPL","currency":"USD","exchange":"NASDAQ","mic_code":"XNGS",'
                '"type":"Common Stock","timestamp":1680286328,"price":164.13,"day_volume":100}'
            ),
        ),
        (
            "AAPL",
            342.0157,
            None,
            (
                '{"event":"price","symbol":"AAPL","currency":"USD","exchange":"NASDAQ","mic_code":"XNGS",'
                '"type":"Common Stock","timestamp":1680286328,"price":342.0157}'
            ),
        ),
        (
            "RY:TSX",
            130.5,
            7.0,
            (
                '{"event":"price","symbol":"RY","currency":"CAD","exchange":"TSX","mic_code":"XTSE",'
                '"type":"Common Stock","timestamp":1680286328,"price":130.5,"day_volume":7}'
            ),
        ),
        (
            "BTC/USD",
            28326.8,
            2.5,
            (
                '{"event":"price","symbol":"BTC/USD","currency_base":"Bitcoin","currency_quote":"US Dollar",'
                '"exchange":"Coinbase Pro","type":"Digital Currency","timestamp":1680286328,"price":28326.8,'
                '"bid":28326.23,"ask":28327.37,"day_volume":2}'
            ),
        ),
        (
            "XAU/USD",
            1925.18,
            9.0,
            (
                '{"event":"price","symbol":"XAU/USD","currency":"USD","currency_base":"Gold Spot",'
                '"currency_quote":"US Dollar","type":"Physical Currency","timestamp":1680286328,"price":1925.18,'
                '"bid":1925.14,"ask":1925.22}'
            ),
        ),
        (
            "EUR/USD",
            1.08512,
            1.0,
            (
                '{"event":"price","symbol":"EUR/USD","currency":"USD","currency_base":"Euro",'
                '"currency_quote":"US Dollar","type":"Physical Currency","timestamp":1680286328,"price":1.08512,'
                '"bid":1.0851,"ask":1.08514}'
            ),
        ),
    ],
)
def test_a_price_has_the_recorded_shape_of_its_kind(
    symbol: str, price: float, volume: float | None, expected: str
) -> None:
    assert frame(TwelveData(), symbol, price, 1680286328.967, volume) == expected


def test_the_volume_of_the_day_rises_trade_by_trade_however_the_symbol_is_spelt() -> None:
    provider = TwelveData()
    frames = [frame(provider, symbol, 1.0, 1.0, 0.5) for symbol in ("AAPL", "aapl", "AAPL:NASDAQ", "AAPL:XETR")]
    assert [json.loads(text)["day_volume"] for text in frames] == [0, 1, 1, 0]


def test_a_tick_that_no_symbol_can_name_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="cannot be a symbol"):
        frame(TwelveData(), "A B", 1.0, 1.0)


@given(
    st.sampled_from(["AAPL", "RY:TSX", "EUR/USD", "BTC/USD", "XAU/USD", "X/Y", "ABC:NEWPLACE"]),
    st.floats(1e-9, 1e12),
    st.floats(0, 4e9),
    st.none() | st.floats(0, 1e9),
)
def test_every_price_is_one_ascii_json_object_with_the_exact_price(
    symbol: str, price: float, timestamp: float, volume: float | None
) -> None:
    text = frame(TwelveData(), symbol, price, timestamp, volume)
    decoded = json.loads(text)
    assert text.isascii()
    assert decoded["price"] == price
    assert decoded["timestamp"] == int(timestamp)
    assert decoded["symbol"] == symbol.partition(":")[0]


@pytest.mark.parametrize(
    ("query", "headers", "key"),
    [
        ({"apikey": "k"}, {}, "k"),
        ({}, {"X-TD-APIKEY": "k"}, "k"),
        ({"apikey": "other"}, {"X-TD-APIKEY": "k"}, "k"),
        ({}, {"Authorization": "apikey k"}, ""),
        ({}, {}, ""),
    ],
)
def test_the_key_comes_in_the_address_or_in_a_header(query: dict[str, str], headers: dict[str, str], key: str) -> None:
    assert TwelveData().credential(request("/v1/quotes/price", query, headers)) == key


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_a_refusal_says_its_status(status: int) -> None:
    answer = TwelveData().refusal(status)
    refusal = json.loads(answer.body)
    assert answer.status == status
    assert (refusal["code"], refusal["status"]) == (status, "error")
    assert "api key" in json.loads(TwelveData().refusal_in_band())["message"]


def test_the_limits_are_the_documented_ones() -> None:
    assert TwelveData().limits == Limits(connections_per_key=3, messages_per_minute=100, idle_timeout=180.0)
    assert replace(TwelveData().limits, max_symbols=8).max_symbols == 8


def test_more_distinct_prices_than_are_remembered_are_written_just_the_same() -> None:
    provider = TwelveData()
    for number in range(1, 70_000):
        assert f'"price":{number}.25,' in frame(provider, "AAPL", number + 0.25, 1.0, 1.0)


# --- scenarios of the conversation


def test_an_error_spoils_the_whole_request_that_has_a_bad_symbol() -> None:
    provider = TwelveData(SCENARIOS["error-some"])
    session = opened(provider)
    answer, reply = subscribe(session, "A,B,X")
    assert answer == {"event": "subscribe-status", "status": "error", "messages": ["symbol not found: X"]}
    assert reply.subscribed is None
    assert subscribe(session, "A,B")[1].subscribed == ("A", "B")


def test_a_silent_symbol_is_acknowledged_and_not_played() -> None:
    answer, reply = subscribe(opened(TwelveData(SCENARIOS["silent-some"])), "A,B,X,D")
    assert [entry["symbol"] for entry in answer["success"]] == ["A", "B", "X", "D"]
    assert reply.subscribed == ("A", "B", "D")


def test_a_partial_acknowledgement_says_nothing_of_the_second_half() -> None:
    answer, reply = subscribe(opened(TwelveData(SCENARIOS["partial-ack"])), "A,B,C,D,E")
    assert ([entry["symbol"] for entry in answer["success"]], answer["fails"]) == (["A", "B", "C"], [])
    assert reply.subscribed == ("A", "B", "C")


def test_null_lists_are_null_and_the_rest_is_as_always() -> None:
    answer, _ = subscribe(opened(TwelveData(SCENARIOS["null-lists"])), "AAPL")
    assert answer["fails"] is None
    assert answer["success"][0]["exchange"] == "NASDAQ"


def test_over_the_cap_the_excess_is_named() -> None:
    answer, reply = subscribe(opened(TwelveData(SCENARIOS["over-cap"])), ",".join("ABCDEFGHIJ"))
    assert [fail["symbol"] for fail in answer["fails"]] == ["I", "J"]
    assert reply.subscribed == tuple("ABCDEFGH")


def test_in_ledger_mode_the_volume_is_the_number_whatever_the_instrument() -> None:
    provider = TwelveData(ledger=True)
    for symbol, number in (("AAPL", 7), ("EUR/USD", 8), ("AAPL", 1_234_567)):
        assert json.loads(frame(provider, symbol, 1.5, 1.0, number))["day_volume"] == number


# --- plain requests


def ask(symbols: str, **prices: float) -> tuple[int, Any]:
    answer = TwelveData().answer(request("/price", {"symbol": symbols}), Prices(prices), 0.0)
    return answer.status, json.loads(answer.body)


def test_the_last_price_of_one_symbol_is_an_object_and_of_several_an_object_of_these() -> None:
    assert ask("AAPL", AAPL=200.99) == (200, {"price": "200.99000"})
    status, found = ask("aapl,RY:XTSE,NONE", AAPL=1.5, **{"RY:TSX": 2.5})
    assert status == 200
    assert (found["aapl"], found["RY:XTSE"]) == ({"price": "1.50000"}, {"price": "2.50000"})
    assert found["NONE"]["code"] == 404


def test_a_plain_request_for_nothing_or_something_unknown_is_an_error() -> None:
    assert ask("NONE")[0] == 404
    assert ask("")[0] == ask(" , ")[0] == 400
    assert json.loads(TwelveData().answer(request("/technical_indicators"), Prices({}), 0.0).body)["status"] == "ok"


@pytest.mark.parametrize(
    ("query", "headers", "key"),
    [
        ({}, {"Authorization": "apikey k"}, "k"),
        ({}, {"Authorization": "APIKEY  k "}, "k"),
        ({"apikey": "k"}, {}, "k"),
        ({}, {"X-TD-APIKEY": "k"}, ""),
        ({}, {"Authorization": "Bearer k"}, ""),
    ],
)
def test_plain_requests_have_their_own_header_for_the_key(
    query: dict[str, str], headers: dict[str, str], key: str
) -> None:
    assert TwelveData().credential(request("/price", query, headers)) == key
