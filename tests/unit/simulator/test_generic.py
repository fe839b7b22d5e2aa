"""The provider that does not exist, as `docs/simulator.md` describes it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.dialect import Limits
from pricestreamd.simulator.generic import EVENTS, Generic, TradeVoice
from pricestreamd.simulator.scenarios import SCENARIOS
from tests.unit.simulator.conversing import opened, refused, request, said


def ask(operation: str, symbols: object) -> dict[str, object]:
    return {"op": operation, "symbols": symbols}


@pytest.mark.parametrize("symbols", ["AAPL,btc/usd", ["AAPL", "btc/usd"], " aapl , BTC/USD"])
def test_symbols_are_asked_for_as_a_text_or_a_list(symbols: object) -> None:
    session = opened(Generic())
    [reply] = session.receive(json.dumps(ask("subscribe", symbols)), 0.0)
    assert reply.text == '{"type":"subscribed","symbols":["AAPL","BTC/USD"],"refused":{}}'
    assert reply.subscribed == ("AAPL", "BTC/USD")
    assert said(session, {"op": "unsubscribe", "symbol": "AAPL"})["symbols"] == ["AAPL"]
    assert said(session, ask("unsubscribe", "AAPL"))["symbols"] == []


def test_symbols_may_stand_in_the_address_of_either_face() -> None:
    for path in (EVENTS, "/generic/stream"):
        [reply] = opened(Generic(), path, {"symbols": "AAPL,MSFT"}).opened()
        assert (reply.text, reply.subscribed) == (None, ("AAPL", "MSFT"))
    assert opened(Generic(), "/generic/stream").opened() == []
    assert refused(Generic(), EVENTS).status == 400


def test_a_heartbeat_is_answered() -> None:
    [reply] = opened(Generic()).receive('{"op":"ping"}', 0.0)
    assert (reply.text, reply.heartbeat) == ('{"type":"pong"}', True)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"op":"sing"}', '{"op":"subscribe"}', '{"op":"subscribe","symbols":[7]}', '{"op":"subscribe","symbols":""}']
)  # fmt: skip
def test_what_cannot_be_read_is_an_error(text: str) -> None:
    assert said(opened(Generic()), text) == {"type": "error", "message": "cannot be read"}


@given(st.text())
def test_no_text_whatever_is_too_much_for_it(text: str) -> None:
    assert said(opened(Generic()), text)["type"] in ("error", "pong", "subscribed", "unsubscribed")


def test_a_trade_is_an_item_of_a_list() -> None:
    voice = TradeVoice()
    tick = Tick("AAPL", 232.5, 1795363200.123, 0.0, 1_234_567.0)
    assert voice.texts([tick], []) == [
        '{"type":"trades","data":[{"symbol":"AAPL","price":232.5,"size":1234567.0,"time":1795363200123}]}'
    ]
    assert len(json.loads(voice.message(voice.items([tick] * 1000, [])))["data"]) == 1000


def test_what_cannot_be_had_is_refused_by_name() -> None:
    session = opened(Generic(limits=Limits(max_symbols=2)))
    answer = said(session, ask("subscribe", ["A", "B", "C", "Ä", "A"]))
    assert answer == {
        "type": "subscribed",
        "symbols": ["A", "B"],
        "refused": {"C": "too many symbols", "Ä": "no such symbol"},
    }


def test_scenarios_of_the_conversation() -> None:
    four = ask("subscribe", "A,B,C,D")
    assert said(opened(Generic(SCENARIOS["reject-some"])), four)["refused"] == {"C": "no such symbol"}
    assert said(opened(Generic(SCENARIOS["error-some"])), four)["type"] == "error"
    [reply] = opened(Generic(SCENARIOS["silent-some"])).receive(json.dumps(four), 0.0)
    assert json.loads(reply.text or "")["symbols"] == ["A", "B", "C", "D"]
    assert reply.subscribed == ("A", "B", "D")
    assert said(opened(Generic(SCENARIOS["partial-ack"])), four)["symbols"] == ["A", "B"]
    assert said(opened(Generic(SCENARIOS["null-lists"])), four)["refused"] is None


def test_messages_beyond_the_budget_are_refused() -> None:
    session = opened(Generic(limits=Limits(messages_per_minute=1)))
    assert said(session, {"op": "ping"})["type"] == "pong"
    assert said(session, {"op": "ping"})["message"] == "too many messages"
    assert said(session, {"op": "ping"}, now=61.0)["type"] == "pong"


def test_it_says_goodbye_and_takes_its_key_in_a_header_or_the_address() -> None:
    assert opened(Generic()).farewell(1.0) == '{"type":"bye"}'
    assert Generic().credential(request("", {}, {"X-API-Key": "k"})) == "k"
    assert Generic().credential(request("", {"key": "k"})) == "k"
