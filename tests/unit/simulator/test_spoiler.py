"""What scenarios do to messages, in every dialect: the good ones stay readable, the bad ones are bad as it says."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.binance_voice import Form, Voices
from pricestreamd.simulator.dialect import Fields, Voice
from pricestreamd.simulator.framing import EVENTS, WEBSOCKET
from pricestreamd.simulator.generic import TradeVoice
from pricestreamd.simulator.iex import QuoteVoice
from pricestreamd.simulator.scenarios import SCENARIOS, find_scenario
from pricestreamd.simulator.spoiler import Spoiler
from pricestreamd.simulator.twelvedata import TwelveData
from tests.unit.simulator.test_framing import events, unframed

VOICES: dict[str, Callable[[], Voice]] = {
    "twelvedata": lambda: TwelveData().sole_voice,
    "binance": lambda: Voices(ledger=False).voice("aggTrade", Form(False, 1000)),
    "binance combined": lambda: Voices(ledger=False).voice("aggTrade", Form(True, 1000)),
    "iex": lambda: QuoteVoice(without_utp=False, every=0.0, ledger=False),
    "generic": TradeVoice,
}
SYMBOL = "ETHBTC"


def items(voice: Voice, count: int) -> list[str]:
    return voice.items([Tick(SYMBOL, 1.5 + n, 1000.0 + n, 0.0, 7.0) for n in range(count)], list(range(count)))


def spoilt(scenario: str, voice: Voice, count: int = 100, *, ledger: bool = False) -> list[bytes]:
    """The payloads of all messages."""
    spoiler = Spoiler(find_scenario(scenario), random.Random(1).random, lambda: '{"what":"is this"}', ledger=ledger)
    good = items(voice, count)
    data = b"".join(spoiler.encode(voice, WEBSOCKET, good[at : at + 7]) for at in range(0, count, 7))
    return [payload for _, payload, _ in unframed(data)]


def quotes(payload: bytes, fields: Fields) -> list[dict[str, Any]]:
    def found(value: Any) -> list[dict[str, Any]]:
        if isinstance(value, dict):
            inner = [quote for item in value.values() for quote in found(item)]
            return [value, *inner] if fields.symbol in value or fields.price in value else inner
        return [quote for item in value for quote in found(item)] if isinstance(value, list) else []

    return found(json.loads(payload))


@pytest.fixture(params=list(VOICES))
def voice(request: pytest.FixtureRequest) -> Voice:
    return VOICES[request.param]()


def test_a_scenario_that_has_nothing_to_do_with_messages_needs_no_spoiler() -> None:
    assert {name for name, scenario in SCENARIOS.items() if Spoiler.needed(scenario)} == {
        *("terse", "missing-fields", "extra-keys", "text-prices", "number-prices", "trailing-zeros", "not-finite"),
        *("not-positive", "price-texts", "wrong-types", "incomplete", "big-frame", "unknown-events", "not-json", "deep"),
        *("binary", "bad-utf8", "batch", "fragmented", "strangers"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["extra-keys", "missing-fields", "terse", "text-prices", "number-prices", "trailing-zeros"]
)
def test_changed_messages_still_tell_the_symbol_and_the_price(voice: Voice, name: str) -> None:
    payloads = spoilt(name, voice, 30)
    assert len(payloads) == 30
    for number, payload in enumerate(payloads):
        [quote] = quotes(payload, voice.fields)
        assert quote[voice.fields.symbol] == SYMBOL
        assert float(quote[voice.fields.price]) == 1.5 + number


def test_prices_are_written_as_the_scenario_says(voice: Voice) -> None:
    def first(name: str) -> Any:
        return quotes(spoilt(name, voice, 1)[0], voice.fields)[0][voice.fields.price]

    assert isinstance(first("text-prices"), str)
    assert isinstance(first("number-prices"), float)
    price = voice.fields.price.encode()
    raw = spoilt("trailing-zeros", voice, 1)[0].partition(b'"' + price + b'":')[2].partition(b",")[0]
    assert raw.strip(b'"}]').endswith(b"0000000000")


def test_terse_messages_have_no_optional_field_and_sparse_ones_some(voice: Voice) -> None:
    optional = [*voice.fields.optional, voice.fields.volume]
    for payload in spoilt("terse", voice, 20):
        assert not set(quotes(payload, voice.fields)[0]) & set(optional)
    seen = [
        len(set(quotes(payload, voice.fields)[0]) & set(optional)) for payload in spoilt("missing-fields", voice, 50)
    ]
    assert len(set(seen)) > 1


def test_in_ledger_mode_the_volume_is_never_left_out(voice: Voice) -> None:
    for name in ("terse", "missing-fields"):
        for payload in spoilt(name, voice, 20, ledger=True):
            assert voice.fields.volume in quotes(payload, voice.fields)[0]


@pytest.mark.parametrize(
    ("name", "literals"),
    [
        ("not-finite", {"NaN", "Infinity", "-Infinity", "1e400"}),
        ("not-positive", {"0", "-0.0", "-12.5"}),
        ("price-texts", {"1,234.5", "", " ", "12.5 USD", "0x10", "1_000"}),
    ],
)
def test_odd_prices_are_copies_beside_good_messages(voice: Voice, name: str, literals: set[str]) -> None:
    payloads = spoilt(name, voice)
    assert len(payloads) == 110
    copies = payloads[10::11]
    odd = [quotes(payload, voice.fields)[0] for payload in copies]
    assert {float(quote[voice.fields.volume or ""]) for quote in odd} == {0.0}
    written = {payload.decode().partition(f'"{voice.fields.price}":')[2] for payload in copies}
    assert {text.lstrip('"').split('"')[0].split("}")[0].partition(",")[0] for text in written} >= {
        literal.partition(",")[0] for literal in literals
    }
    good = [payload for index, payload in enumerate(payloads) if index % 11 != 10]
    assert [float(quotes(payload, voice.fields)[0][voice.fields.price]) for payload in good] == [
        1.5 + n for n in range(100)
    ]


def test_wrong_types_and_incomplete_messages_are_json_all_the_same(voice: Voice) -> None:
    wrong = [quotes(payload, voice.fields)[0][voice.fields.price] for payload in spoilt("wrong-types", voice)[10::11]]
    assert {str(price) for price in wrong} == {"None", "True", "[]", "{}", "18446744073709551616"}
    lacking = [quotes(payload, voice.fields)[0] for payload in spoilt("incomplete", voice)[10::11]]
    assert {(voice.fields.price in quote, voice.fields.symbol in quote) for quote in lacking} == {
        (True, False),
        (False, True),
    }


def test_strangers_are_copies_under_other_names(voice: Voice) -> None:
    payloads = spoilt("strangers", voice)
    names = {quotes(payload, voice.fields)[0][voice.fields.symbol] for payload in payloads[10::11]}
    assert len(payloads) == 110
    assert len(names) == 6
    assert SYMBOL not in names


def test_noise_comes_between_good_messages(voice: Voice) -> None:
    kinds = {
        "unknown-events": b'{"what":"is this"}',
        "deep": b"[" * 100_000,
        "binary": bytes(range(256)),
        "bad-utf8": b'{"event":"price","symbol":"AA\xff\xfePL","price":1.5}',
    }
    for name, noise in kinds.items():
        payloads = spoilt(name, voice)
        assert payloads[10::11] == [noise] * 10, name
        assert len(payloads) == 110
    texts = set(spoilt("not-json", voice, 400)[10::11])
    assert {b"", b"OK", "\ufeff{}".encode()} <= texts
    for text in texts:
        with pytest.raises(json.JSONDecodeError):
            json.loads(text.decode())


def test_a_big_message_is_as_big_as_it_says_and_seldom() -> None:
    payloads = spoilt("big-frame:1MB", VOICES["twelvedata"]())
    assert [len(payload) > 1_000_000 for payload in payloads].count(True) == 1
    assert json.loads(max(payloads, key=len))["type"] == "snapshot"


def test_binary_messages_are_binary() -> None:
    spoiler = Spoiler(SCENARIOS["binary"], random.Random(1).random, str, ledger=False)
    voice = VOICES["twelvedata"]()
    kinds = [kind for kind, _, _ in unframed(spoiler.encode(voice, WEBSOCKET, items(voice, 10)))]
    assert kinds == [1] * 10 + [2]


@pytest.mark.parametrize("name", ["iex", "generic"])
def test_a_batch_is_one_message_where_the_provider_has_them(name: str) -> None:
    voice = VOICES[name]()
    spoiler = Spoiler(SCENARIOS["batch"], random.Random(1).random, str, ledger=False)
    [(_, payload, _)] = unframed(spoiler.encode(voice, WEBSOCKET, items(voice, 1000)))
    assert len(quotes(payload, voice.fields)) == 1000
    assert len(events(spoiler.encode(voice, EVENTS, items(voice, 1500)))) == 2


def test_a_batch_is_many_messages_where_the_provider_has_none() -> None:
    assert len(spoilt("batch", VOICES["twelvedata"](), 50)) == 50


def test_plain_answers_are_changed_and_every_third_is_spoilt() -> None:
    fields = (Fields(price="05. price", symbol="01. symbol"), Fields(price="close", symbol="symbol"))

    def answers(scenario: str, body: str, count: int = 12) -> list[bytes]:
        spoiler = Spoiler(find_scenario(scenario), random.Random(1).random, str, ledger=False)
        return [spoiler.answer(body, fields) for _ in range(count)]

    body = '{"Global Quote":{"01. symbol":"IBM","05. price":"1.5000"}}'
    assert [text == body.encode() for text in answers("not-finite", body)] == [True, True, False] * 4
    assert b'"05. price":"NaN"' in b"".join(answers("not-finite", body, 50))
    assert json.loads(answers("number-prices", body)[0])["Global Quote"]["05. price"] == 1.5
    assert json.loads(answers("incomplete", body)[2]) == {"Global Quote": {"01. symbol": "IBM"}}
    assert answers("binary", '{"Information":"x"}')[2] == bytes(range(256))
    assert len(answers("big-frame:1MB", body)[2]) > 1_000_000
    assert answers("not-finite", '{"Information":"x"}')[2] == b'{"Information":"x"}'
    rows = answers("extra-keys", '{"data":[{"symbol":"A","close":"1"},{"symbol":"B","close":"2"}]}')[0]
    assert [row["_v"] for row in json.loads(rows)["data"]] == [3, 3]
