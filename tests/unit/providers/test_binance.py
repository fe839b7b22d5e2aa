"""What Binance says becomes what the house says, and what we say to it is within its limits."""

from __future__ import annotations

import gzip
import json
import math
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import (
    FATAL,
    Ack,
    Farewell,
    FaultKind,
    HttpRequest,
    Ignored,
    Message,
    Missed,
    ProviderFault,
    Rejected,
    Request,
    Terms,
)
from pricestreamd.providers.binance import PROFILE, Binance
from tests.support.data import shared_data

NOW = 1_700_000_100.5
HOST = "wss://stream.binance.com:9443"


def adapter(*symbols: str, **terms: Any) -> Binance:
    made = Binance(Terms(feed="coins", **terms))
    for symbol in symbols or ("BTCUSDT",):
        made.symbols.add(symbol)
    return made


def trade(number: object = 1, price: object = "100.5", symbol: str = "BTCUSDT", **fields: object) -> bytes:
    event = {"e": "aggTrade", "E": 1700000001123, "s": symbol, "a": number, "p": price, "q": "2", "T": 1700000001120}
    return json.dumps({"stream": f"{symbol.lower()}@aggTrade", "data": {**event, **fields}}).encode()


def tick(symbol: str = "BTCUSDT", price: float = 100.5, **more: Any) -> Tick:
    return Tick(symbol, price, 1700000001.12, NOW, 2.0, feed="coins", **more)


def one(data: bytes | str | dict[str, Any], made: Binance) -> Message:
    (message,) = made.decode(json.dumps(data) if isinstance(data, dict) else data, NOW)
    return message


def read(request: Request) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(request.text)
    return value


# --- recordings


RECORDINGS = {
    "binance_20211012": {"LRCBTC": (1, 6.38e-06, 6.38e-06), "NKNUSDT": (1, 0.3528, 0.3528)},
    "binanceus_20211012": {"OMGBUSD": (11, 13.7604, 13.8076)},
    "binancefutures_20210722": {
        "AKROUSDT": (8, 0.01731, 0.01735),
        "CTKUSDT": (38, 1.01, 1.012),
        "KEEPUSDT": (5, 0.2464, 0.2468),
        "SUSHIUSDT": (40, 7.61, 7.62),
    },
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_gives_its_trades_and_nothing_made_of_book_and_candle(name: str) -> None:
    address = shared_data(f"frames/{name}.sent.tsv").read_text(encoding="utf-8").split("OPEN ")[1].split()[0]
    frames = gzip.decompress(shared_data(f"frames/{name}.frames.jsonl.gz").read_bytes()).splitlines()
    symbols = {
        stream.partition("@")[0].upper() for stream in parse_qs(urlsplit(address).query)["streams"][0].split("/")
    }
    made = adapter(*symbols, endpoint=address)
    messages = [message for frame in frames for message in made.decode(frame, NOW)]
    assert len(messages) == len(frames)
    ticks = [message for message in messages if isinstance(message, Tick)]
    events = [json.loads(frame)["data"] for frame in frames]
    trades = [event for event in events if event.get("e") == "aggTrade"]
    assert [(t.symbol, t.price, t.volume, t.timestamp) for t in ticks] == [
        (trade["s"], float(trade["p"]), float(trade["q"]), trade["T"] / 1000) for trade in trades
    ]
    prices = {symbol: [tick.price for tick in ticks if tick.symbol == symbol] for symbol in symbols}
    assert {s: (len(found), min(found), max(found)) for s, found in prices.items() if found} == RECORDINGS[name]
    rest = {message for message in messages if not isinstance(message, Tick)}
    assert rest == {Ignored("depthUpdate"), Ignored("bookTicker"), Ignored("kline")}


# --- prices


@pytest.mark.parametrize(
    ("endpoint", "channel", "stream"),
    [
        (None, None, "aggTrade"),
        (None, "ticker", "miniTicker"),
        (f"{HOST}/ws", "trades", "aggTrade"),
        (f"{HOST}/ws/btcusdt@trade", "trades", "trade"),
        (f"{HOST}/stream?streams=btcusdt%40trade", "trades", "trade"),
        (f"{HOST}/stream?streams=btcusdt@trade/btcusdt@aggTrade", "trades", "aggTrade"),
        (f"{HOST}/stream?streams=btcusdt@trade", "ticker", "miniTicker"),
        (f"{HOST}/stream?streams=btcusdt@ticker", "ticker", "ticker"),
        (f"{HOST}/ws/!ticker@arr", "ticker", "ticker"),
        ("wss://[broken", None, "aggTrade"),
    ],
)
def test_one_stream_of_a_channel_is_taken_the_first_unless_the_address_names_the_other(
    endpoint: str | None, channel: Any, stream: str
) -> None:
    made = adapter(endpoint=endpoint, channel=channel)
    (request,) = made.encode_subscribe(["BTCUSDT"])
    assert read(request)["params"] == [f"btcusdt@{stream}"]
    fields = {"s": "BTCUSDT", "T": 1700000001120, "E": 1700000001120, "a": 1, "t": 1, "p": "1", "c": "1", "q": "1"}
    events = {"aggTrade": "aggTrade", "trade": "trade", "miniTicker": "24hrMiniTicker", "ticker": "24hrTicker"}
    for name, event in events.items():
        for frame in ({"e": event, "v": "1", **fields}, {"stream": "x", "data": {"e": event, "v": "1", **fields}}):
            expected = Tick("BTCUSDT", 1.0, 1700000001.12, NOW, 1.0, feed="coins") if name == stream else Ignored(event)
            fresh = adapter(endpoint=endpoint, channel=channel)
            assert one(frame, fresh) == expected


@pytest.mark.parametrize(
    "query", ["timeUnit=MICROSECOND", "timeUnit=microsecond", "streams=a@trade&timeUnit=microsecond"]
)
def test_microseconds_are_an_agreement_made_in_the_address(query: str) -> None:
    made = adapter(endpoint=f"{HOST}/stream?{query}", channel="ticker")
    ticker = {"e": "24hrMiniTicker", "E": 1700000001120345, "s": "BTCUSDT", "c": "1", "v": "2"}
    assert one({"stream": "", "data": ticker}, made) == Tick("BTCUSDT", 1.0, 1700000001.120345, NOW, 2.0, feed="coins")


@pytest.mark.parametrize("price", ["nan", "NaN", "inf", "-inf", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_no_spelling_of_what_is_not_finite_becomes_a_price(price: str) -> None:
    assert one(trade(price=price), adapter()) == Rejected("not_finite")


@pytest.mark.parametrize("volume", ["nan", "inf", "-inf", "1e400", None, True, [], "much", ...])
def test_what_stands_beside_the_price_is_not_worth_losing_it(volume: object) -> None:
    data = trade().replace(b', "q": "2"', b"") if volume is ... else trade(q=volume)
    assert one(data, adapter()) == Tick("BTCUSDT", 100.5, 1700000001.12, NOW, None, feed="coins")


@given(st.floats(1e-90, 1e19))
def test_a_price_is_the_double_of_its_text(price: float) -> None:
    for text in (repr(price), f"{price:.8f}") if price > 1e-6 else (repr(price),):
        assert one(trade(price=text), adapter()) == tick(price=float(text))


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1e400"])
@pytest.mark.parametrize("bare", [True, False])
def test_a_price_that_is_no_json_is_counted_as_what_it_is(price: str, bare: bool) -> None:
    event = f'{{"e":"aggTrade","s":"BTCUSDT","p":{price}}}'
    assert one(event if bare else f'{{"stream":"x","data":{event}}}', adapter()) == Rejected("not_finite")
    assert one(f'{{"data":[{event}]}}', adapter()) == Rejected("json")


@pytest.mark.parametrize(
    ("time", "found"),
    [("noon", Rejected("type")), ([], Rejected("type")), ("nan", Rejected("type")), (True, Rejected("type"))],
)
def test_a_time_that_is_none_is_refused(time: object, found: Message) -> None:
    assert one(trade(T=time), adapter()) == found


def test_no_time_is_the_time_of_receipt() -> None:
    assert one(trade(T=None), adapter()) == Tick("BTCUSDT", 100.5, NOW, NOW, 2.0, feed="coins")


@pytest.mark.parametrize("symbol", ["ETHUSDT", "B", "", "X" * 10_000])
def test_a_symbol_that_nobody_wants_is_unknown(symbol: str) -> None:
    assert one(trade(symbol=symbol), adapter("BTCUSDT", "ETH/BTC")) == Rejected("unknown_symbol")


def test_an_invalid_byte_in_a_field_that_is_not_used_is_seen() -> None:
    assert one(trade(x="y").replace(b'"y"', b'"\xff"'), adapter()) == Rejected("utf8")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.sampled_from(["BTCUSDT", "1"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "e",
                        "s",
                        "p",
                        "q",
                        "c",
                        "v",
                        "T",
                        "E",
                        "a",
                        "t",
                        "stream",
                        "data",
                        "result",
                        "error",
                        "code",
                        "msg",
                        "id",
                    ]
                )
                | st.text(max_size=3),
                inner | st.sampled_from(["aggTrade", "trade", "serverShutdown", "btcusdt@aggTrade", "24hrMiniTicker"]),
                max_size=8,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_is_messages_and_every_tick_is_sound(value: object) -> None:
    made = adapter("BTCUSDT", "BTC/USDT")
    made.encode_subscribe(["BTCUSDT"])
    for data in (json.dumps(value), json.dumps(value).encode()):
        for message in made.decode(data, NOW):
            assert isinstance(message, Message)
            if isinstance(message, Tick):
                assert message.price > 0
                assert math.isfinite(message.timestamp)
                assert message.volume is None or math.isfinite(message.volume)


# --- numbers


def test_a_hole_in_the_numbers_is_missed_before_the_next_price() -> None:
    made = adapter("BTCUSDT", "ETHUSDT")
    assert made.decode(trade(10), NOW) == (tick(),)
    assert made.decode(trade(11), NOW) == (tick(),)
    assert made.decode(trade(77, symbol="ETHUSDT"), NOW) == (tick("ETHUSDT"),)
    assert made.decode(trade(15), NOW) == (Missed(("BTCUSDT",), 3), tick())
    assert made.decode(trade(16), NOW) == (tick(),)
    assert made.decode(trade(78, symbol="ETHUSDT"), NOW) == (tick("ETHUSDT"),)


def test_a_number_seen_just_before_is_the_same_trade() -> None:
    made = adapter()
    made.decode(trade(10), NOW)
    assert made.decode(trade(10), NOW) == (Ignored("repeated"),)
    assert made.decode(trade(10, price="bad"), NOW) == (Ignored("repeated"),)
    assert made.decode(trade(11), NOW) == (tick(),)


def test_a_smaller_number_is_a_price_like_any_other_and_no_hole() -> None:
    made = adapter()
    made.decode(trade(10), NOW)
    assert made.decode(trade(3), NOW) == (tick(),)
    assert made.decode(trade(11), NOW) == (tick(),)


def test_a_trade_that_cannot_be_a_price_is_counted_all_the_same() -> None:
    made = adapter()
    made.decode(trade(10), NOW)
    assert made.decode(trade(11, price="0"), NOW) == (Rejected("not_positive"),)
    assert made.decode(trade(12), NOW) == (tick(),)
    assert made.decode(trade(15, price="0"), NOW) == (Missed(("BTCUSDT",), 2), Rejected("not_positive"))


@pytest.mark.parametrize("number", [None, True, "x", 1.5, [], "9" * 5000])
def test_a_number_that_is_none_says_nothing(number: object) -> None:
    made = adapter()
    made.decode(trade(10), NOW)
    assert made.decode(trade(number), NOW) == (tick(),)
    assert made.decode(trade(11), NOW) == (tick(),)


def test_single_trades_have_numbers_of_their_own() -> None:
    made = adapter(endpoint=f"{HOST}/ws/btcusdt@trade")
    event = {"e": "trade", "s": "BTCUSDT", "t": 5, "p": "100.5", "q": "2", "T": 1700000001120}
    made.decode(json.dumps(event), NOW)
    assert made.decode(json.dumps({**event, "t": 7}), NOW) == (Missed(("BTCUSDT",), 1), tick())


def test_a_new_connection_begins_without_a_memory() -> None:
    adapter().decode(trade(10), NOW)
    assert adapter().decode(trade(20), NOW) == (tick(),)


def test_what_came_while_nobody_wanted_it_was_not_missed() -> None:
    made = adapter()
    made.decode(trade(10), NOW)
    made.symbols.remove("BTCUSDT")
    (request,) = made.encode_unsubscribe(["BTCUSDT"])
    made.symbols.add("BTCUSDT")
    assert made.decode(trade(11), NOW) == (tick(),)  # still on its way when the symbol was given up
    assert one({"result": None, "id": read(request)["id"]}, made) == Ack(unsubscribed=("BTCUSDT",))
    assert made.decode(trade(50), NOW) == (tick(),)


def test_what_came_while_a_wanted_symbol_was_asked_for_anew_was_missed() -> None:
    made = adapter()
    made.decode(trade(10), NOW)
    (request,) = made.encode_unsubscribe(["BTCUSDT"])
    one({"result": None, "id": read(request)["id"]}, made)
    assert made.decode(trade(13), NOW) == (Missed(("BTCUSDT",), 2), tick())


# --- requests and answers


def test_many_streams_share_a_request_that_the_server_can_read() -> None:
    symbols = [f"SYMBOL{n}USDT" for n in range(1024)]
    made = adapter(*symbols)
    requests = made.encode_subscribe(symbols)
    assert [symbol for request in requests for symbol in request.symbols] == symbols
    assert all(len(request.text.encode()) <= 4000 for request in requests)
    assert len(requests) < 10
    assert read(requests[0])["method"] == "SUBSCRIBE"
    assert read(made.encode_unsubscribe(["BTCUSDT"])[0])["method"] == "UNSUBSCRIBE"


def test_for_no_symbols_nothing_is_said() -> None:
    made = adapter()
    assert [*made.encode_subscribe([]), *made.encode_unsubscribe([]), *made.backfill([])] == []


def test_the_address_is_dialled_as_it_is_and_there_is_no_key() -> None:
    params = adapter(endpoint=f"{HOST}/stream?timeUnit=microsecond").connect_params()
    assert (params.url, params.headers) == (f"{HOST}/stream?timeUnit=microsecond", {})
    assert adapter().connect_params().url == f"{HOST}/stream"


def test_the_bytes_of_a_request_count_not_its_letters() -> None:
    symbols = ["币" * 18 + str(n) for n in range(200)]
    assert all(len(request.text.encode()) <= 4000 for request in adapter(*symbols).encode_subscribe(symbols))


def test_an_answer_is_of_the_request_with_its_number() -> None:
    made = adapter("BTCUSDT", "ETH/USDT")
    (first,) = made.encode_subscribe(["BTCUSDT"])
    (second,) = made.encode_subscribe(["ETH/USDT"])
    assert one({"result": None, "id": read(second)["id"]}, made) == Ack(("ETH/USDT",))
    assert one({"result": None, "id": read(first)["id"]}, made) == Ack(("BTCUSDT",))
    assert one({"result": None, "id": read(first)["id"]}, made) == Ack()


@pytest.mark.parametrize("number", [None, "1", 1.0, True, -1, [], {}, 10**30, ...])
def test_an_answer_to_nothing_of_ours_names_no_symbol(number: object) -> None:
    made = adapter()
    answer = {"result": None} if number is ... else {"result": None, "id": number}
    assert one(answer, made) == Ack()


def test_requests_that_are_never_answered_do_not_pile_up() -> None:
    made = adapter()
    (first,) = made.encode_subscribe(["BTCUSDT"])
    last = [made.encode_subscribe(["BTCUSDT"]) for _ in range(5000)][-1][0]
    assert one({"result": None, "id": read(first)["id"]}, made) == Ack()
    assert one({"result": None, "id": read(last)["id"]}, made) == Ack(("BTCUSDT",))


ERRORS: list[dict[str, Any]] = [
    {"code": 2, "msg": "Invalid request: invalid stream"},
    {"error": {"code": 2, "msg": "Invalid request: invalid stream"}},
]


@pytest.mark.parametrize("error", ERRORS)
def test_the_symbols_of_a_refused_request_are_asked_for_alone_until_the_culprit_is_found(error: dict[str, Any]) -> None:
    made = adapter("BTCUSDT", "ODD", "ETHUSDT")
    (request,) = made.encode_subscribe(["BTCUSDT", "ODD", "ETHUSDT"])
    fault = ProviderFault(FaultKind.TRANSIENT, "Invalid request: invalid stream")
    answer = json.dumps({**error, "id": read(request)["id"]})
    assert made.decode(answer, NOW) == (Ack(), fault)
    singles = made.encode_subscribe(["BTCUSDT", "ODD", "ETHUSDT", "NEW"])
    assert [request.symbols for request in singles] == [("NEW",), ("BTCUSDT",), ("ODD",), ("ETHUSDT",)]
    assert one({"result": None, "id": read(singles[1])["id"]}, made) == Ack(("BTCUSDT",))
    refusal = json.dumps({**error, "id": read(singles[2])["id"]})
    assert made.decode(refusal, NOW) == (Ack(rejected={"ODD": "Invalid request: invalid stream"}), fault)
    assert [r.symbols for r in made.encode_subscribe(["BTCUSDT", "NEW"])] == [("BTCUSDT", "NEW")]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 4, "msg": "Too many subscriptions"}, FaultKind.OVER_CAP),
        ({"code": 4}, FaultKind.OVER_CAP),
        ({"code": 2, "msg": "Too many streams"}, FaultKind.OVER_CAP),
        ({"code": -1003, "msg": "Too much request weight used"}, FaultKind.RATE_LIMITED),
        ({"code": -1034, "msg": "Too many connections"}, FaultKind.CONNECTION_LIMIT),
    ],
)
def test_a_limit_is_an_answer_but_no_symbol_is_to_blame(error: dict[str, Any], kind: FaultKind) -> None:
    made = adapter()
    (request,) = made.encode_subscribe(["BTCUSDT"])
    answer, fault = made.decode(json.dumps({"error": error, "id": read(request)["id"]}), NOW)
    assert answer == Ack()
    assert isinstance(fault, ProviderFault)
    assert fault.kind is kind


@pytest.mark.parametrize(
    "answer",
    [
        {"error": None},
        {"error": "no"},
        {"error": [], "id": 1},
        {"code": None},
        {"code": 3, "msg": 5},
        {"code": 0, "msg": ""},
    ],
)
def test_an_odd_error_is_a_fault_of_the_moment(answer: dict[str, Any]) -> None:
    made = adapter()
    found = made.decode(json.dumps(answer), NOW)
    assert [message.kind for message in found if isinstance(message, ProviderFault)] == [FaultKind.TRANSIENT]


def test_a_refused_farewell_refuses_no_symbol() -> None:
    made = adapter()
    (request,) = made.encode_unsubscribe(["BTCUSDT"])
    assert isinstance(one({"code": 2, "msg": "no", "id": read(request)["id"]}, made), ProviderFault)


def test_a_server_that_shuts_down_says_farewell() -> None:
    made = adapter()
    for frame in ({"e": "serverShutdown", "E": 1}, {"stream": "!serverShutdown", "data": {"e": "serverShutdown"}}):
        assert one(frame, made) == Farewell("serverShutdown")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (418, FaultKind.RATE_LIMITED),
        (429, FaultKind.RATE_LIMITED),
        (403, FaultKind.TRANSIENT),
        (401, FaultKind.AUTH),
        (451, FaultKind.ENTITLEMENT),
        (404, FaultKind.TRANSIENT),
        (503, FaultKind.TRANSIENT),
    ],
)
def test_statuses(status: int, kind: FaultKind) -> None:
    fault = adapter().classify_handshake(status, "text " * 1000)
    assert fault.kind is kind
    assert fault.message.startswith("text")
    assert len(fault.message) <= 200
    assert (fault.kind in FATAL) == (status in (401, 451))


def test_closes_for_too_much_talk_are_told_from_others() -> None:
    made = adapter()
    assert made.classify_close(1008, "Too many requests") == ProviderFault(FaultKind.RATE_LIMITED, "Too many requests")
    assert made.classify_close(1008, "Pong timeout") is None
    assert made.classify_close(1006, "") is None


# --- symbols


@pytest.mark.parametrize("symbol", ["BTCUSDT", "btcusdt", "BTC/USDT", " btc/usdt ", "BTCUSDT_240628", "币安人生USDT"])
def test_every_spelling_of_a_market_is_kept(symbol: str) -> None:
    made = adapter(symbol)
    assert made.refusal(symbol) is None
    native = made.to_native(symbol)
    assert native == symbol.strip().lower().replace("/", "")
    currency = "USDT" if "/" in symbol else None
    for _ in range(3):
        found = made.decode(trade(None, symbol=native.upper()), NOW)
        assert found == (tick(symbol.strip(), currency=currency),)
    assert made.from_native(native) == symbol.strip()


@pytest.mark.parametrize(
    "symbol",
    ["", " ", "/", "BTC/", "/USDT", "A/B/C", "BTC-USD", "BTC USDT", "btcusdt@trade", "A,B", '"', "X" * 41, "A.B"],
)
def test_what_cannot_be_a_symbol_is_refused_by_a_hint(symbol: str) -> None:
    assert adapter().refusal(symbol) == "not a symbol of this exchange: write BTCUSDT or BTC/USDT"


def test_one_market_is_not_asked_for_in_two_spellings() -> None:
    made = adapter("BTC/USDT", "ETHUSDT")
    assert made.refusal("BTC/USDT") is None
    assert made.refusal("btcusdt") == "the same market as BTC/USDT, which is asked for already"
    assert made.refusal("eth/usdt") == "the same market as ETHUSDT, which is asked for already"


def test_another_spelling_may_follow_when_the_first_is_gone() -> None:
    for before, after in (("BTCUSDT", "BTC/USDT"), ("BTC/USDT", "BTCUSDT"), ("BTC/USDT", "BTCU/SDT")):
        made = adapter(before)
        made.decode(trade(1), NOW)
        made.symbols.remove(before)
        assert one(trade(2), made) == Rejected("unknown_symbol")
        assert made.refusal(after) is None
        made.symbols.add(after)
        found = one(trade(3), made)
        assert isinstance(found, Tick)
        assert found.symbol == after


def test_where_every_symbol_is_wanted_the_configured_spelling_is_kept() -> None:
    made = adapter("BTC/USDT", every_symbol=True)
    assert one(trade(1), made) == tick("BTC/USDT", currency="USDT")
    assert one(trade(1, symbol="ETHUSDT"), made) == tick("ETHUSDT")


# --- the profile and the last prices


@pytest.mark.parametrize(
    ("endpoint", "silence"),
    [
        (None, 75.0),
        ("wss://data-stream.binance.vision/stream", 75.0),
        ("ws://127.0.0.1:8080/stream", 75.0),
        ("wss://stream.binance.us:9443/stream", 660.0),
        ("wss://fstream.binance.com/market/stream", 660.0),
        ("wss://dstream.binance.com/stream", 660.0),
        ("wss://dstream-auth.binance.com/stream", 660.0),
    ],
)
def test_silence_is_judged_by_the_pings_of_the_server(endpoint: str | None, silence: float) -> None:
    assert adapter(endpoint=endpoint).profile.heartbeat_silence == silence
    assert PROFILE.heartbeat_silence == 75.0
    assert PROFILE.pings


def test_texts_a_ping_and_a_pong_are_within_five_a_second() -> None:
    assert PROFILE.control_messages / PROFILE.control_window + 2 <= 5


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        (None, "https://data-api.binance.vision/api/v3/ticker/price"),
        ("wss://data-stream.binance.vision/ws", "https://data-api.binance.vision/api/v3/ticker/price"),
        ("wss://stream.binance.us:9443/stream", "https://api.binance.us/api/v3/ticker/price"),
        ("ws://127.0.0.1:8080/stream?x=y", "http://127.0.0.1:8080/api/v3/ticker/price"),
        ("wss://proxy.example.org/binance/stream", "https://proxy.example.org/api/v3/ticker/price"),
    ],
)
def test_the_last_prices_of_all_markets_are_asked_for_at_once(endpoint: str | None, address: str) -> None:
    symbols = ["BTC/USDT", *(f"SYM{n}USDT" for n in range(149))]
    (request,) = adapter(*symbols, endpoint=endpoint).backfill(symbols)
    assert (request.url, request.symbols) == (address, tuple(symbols))


@pytest.mark.parametrize("endpoint", ["wss://fstream.binance.com/stream", "wss://[broken", "nothing"])
def test_where_last_prices_cannot_be_asked_for_they_are_not(endpoint: str) -> None:
    assert adapter(endpoint=endpoint).backfill(["BTCUSDT"]) == []


def test_last_prices_are_late_and_of_the_moment_of_their_answer() -> None:
    made = adapter("BTC/USDT", "ETHUSDT", "LTCUSDT")
    request = HttpRequest("https://example.org/", ("BTC/USDT", "ETHUSDT"))
    body = json.dumps(
        [
            {"symbol": "BTCUSDT", "price": "37063.27000000"},
            {"symbol": "ETHUSDT", "price": "oops"},
            {"symbol": "LTCUSDT", "price": "70"},
            {"symbol": "XRPUSDT", "price": "1"},
            {"symbol": 5, "price": "1"},
            5,
        ]
    ).encode()
    late = Tick("BTC/USDT", 37063.27, NOW, NOW, None, "USDT", "coins", late=True)
    assert made.decode_backfill(request, body, NOW) == [late]
    assert made.decode_backfill(request, b'{"symbol":"btcusdt","price":"37063.27"}', NOW) == [late]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"null", b'{"code":-1121,"msg":"Invalid symbol."}', b"[[[]]]"])
def test_an_answer_without_prices_gives_none(body: bytes) -> None:
    assert adapter().decode_backfill(HttpRequest("", ("BTCUSDT",)), body, NOW) == []


@given(st.binary(max_size=100) | st.from_regex(rb'\[?\{"symbol":.{0,20},"price":.{0,20}\}\]?', fullmatch=True))
def test_no_answer_makes_the_backfill_raise(body: bytes) -> None:
    adapter().decode_backfill(HttpRequest("", ("BTCUSDT",)), body, NOW)
