"""Wanted and confirmed are two sets; whatever happens, the difference is asked for (rows H8, W1)."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pricestreamd.feeds.connection.subscriptions import Subscriptions


def made(*symbols: str) -> Subscriptions:
    subscriptions = Subscriptions(15.0)
    subscriptions.want(symbols)
    return subscriptions


def states(subscriptions: Subscriptions) -> dict[str, str]:
    return {symbol: state for symbol, (state, _) in subscriptions.states()}


def ask(subscriptions: Subscriptions, now: float = 0.0) -> list[str]:
    symbols = subscriptions.to_subscribe(now)
    subscriptions.asked(symbols, now)
    return symbols


def test_a_symbol_is_asked_for_once_and_then_confirmed() -> None:
    subscriptions = made("AAPL", "MSFT")
    assert ask(subscriptions) == ["AAPL", "MSFT"]
    assert ask(subscriptions, 1.0) == []
    assert states(subscriptions) == {"AAPL": "pending", "MSFT": "pending"}
    assert not subscriptions.settled(["AAPL"])
    subscriptions.acknowledge(["AAPL"], {"MSFT": "no such symbol"}, 1.0)
    assert list(subscriptions.states()) == [("AAPL", ("subscribed", None)), ("MSFT", ("rejected", "no such symbol"))]
    assert subscriptions.settled(["AAPL", "MSFT", "UNWANTED"])
    assert not subscriptions.waiting
    assert subscriptions.confirmed == ["AAPL"]
    assert ask(subscriptions, 1000.0) == []


def test_case_and_space_do_not_matter_and_the_first_spelling_stays() -> None:
    subscriptions = made(" aapl ")
    assert subscriptions.want(["AAPL", "Aapl"]) == []
    assert subscriptions.wanted == ["aapl"]
    assert "AAPL " in subscriptions
    ask(subscriptions)
    subscriptions.acknowledge(["AAPL"], {}, 0.0)
    assert subscriptions.confirmed == ["aapl"]
    assert subscriptions.unwant(["AAPL", "MSFT"]) == ["aapl"]
    assert subscriptions.wanted == []


def test_a_new_connection_begins_with_nothing() -> None:
    subscriptions = made("AAPL", "MSFT")
    ask(subscriptions)
    subscriptions.acknowledge(["AAPL"], {}, 0.0)
    subscriptions.want(["TSLA"])
    subscriptions.unwant(["MSFT"])
    subscriptions.reset(10.0)
    assert states(subscriptions) == {"AAPL": "pending", "TSLA": "pending"}
    assert not subscriptions.answered
    assert ask(subscriptions, 10.0) == ["AAPL", "TSLA"]
    assert subscriptions.to_unsubscribe() == []


def test_what_is_not_wanted_any_more_is_given_up_whether_confirmed_or_only_asked_for() -> None:
    subscriptions = made("AAPL", "MSFT", "TSLA")
    ask(subscriptions)
    subscriptions.acknowledge(["AAPL"], {}, 0.0)
    subscriptions.unwant(["AAPL", "MSFT"])
    assert sorted(subscriptions.to_unsubscribe()) == ["AAPL", "MSFT"]
    subscriptions.given_up(["AAPL", "MSFT"])
    assert subscriptions.to_unsubscribe() == []
    # An acknowledgement that comes too late is corrected.
    subscriptions.acknowledge(["MSFT"], {}, 1.0)
    assert subscriptions.to_unsubscribe() == ["MSFT"]


def test_an_answer_that_was_on_its_way_while_its_symbol_was_given_up_confirms_nothing() -> None:
    for wanted_before_the_answer in (True, False):
        subscriptions = made("AAPL")
        ask(subscriptions)
        subscriptions.unwant(["AAPL"])
        subscriptions.given_up(subscriptions.to_unsubscribe())
        if wanted_before_the_answer:
            subscriptions.want(["AAPL"])
        subscriptions.acknowledge(["AAPL"], {}, 1.0)
        subscriptions.want(["AAPL"])
        assert states(subscriptions) == {"AAPL": "pending"}
        assert subscriptions.to_unsubscribe() == []
        assert ask(subscriptions, 2.0) == ["AAPL"]
        subscriptions.acknowledge(["AAPL"], {}, 3.0)
        assert subscriptions.confirmed == ["AAPL"]


def test_an_unanswered_request_is_repeated_after_the_timeout_then_twice_as_long() -> None:
    subscriptions = made("AAPL")
    ask(subscriptions, 0.0)
    assert subscriptions.overdue_at() == 15.0
    assert ask(subscriptions, 14.9) == []
    assert ask(subscriptions, 15.0) == ["AAPL"]
    assert subscriptions.overdue_at() == 45.0
    assert ask(subscriptions, 44.9) == []
    for _ in range(20):
        assert ask(subscriptions, subscriptions.overdue_at() or 0.0) == ["AAPL"]
    at = subscriptions.overdue_at() or 0.0
    ask(subscriptions, at)
    assert (subscriptions.overdue_at() or 0.0) - at == 900.0


def test_a_refusal_is_news_once_and_forgotten_by_a_connection_a_quarter_of_an_hour_later() -> None:
    subscriptions = made("AAPL", "BAD")
    ask(subscriptions)
    assert subscriptions.acknowledge(["AAPL"], {"BAD": "no", "STRANGER": "no"}, 0.0) == {"BAD": "no"}
    assert subscriptions.acknowledge([], {"BAD": "no"}, 1.0) == {}
    subscriptions.reset(600.0)
    assert ask(subscriptions, 600.0) == ["AAPL"]
    subscriptions.reset(902.0)
    assert ask(subscriptions, 902.0) == ["AAPL", "BAD"]


def test_a_refused_symbol_that_is_wanted_again_is_asked_for_again() -> None:
    subscriptions = made("BAD")
    ask(subscriptions)
    subscriptions.acknowledge([], {"BAD": "no"}, 0.0)
    subscriptions.want(["bad"])
    assert ask(subscriptions, 1.0) == ["BAD"]


class Reconciliation(RuleBasedStateMachine):
    """Any order of wishes, answers and lost connections ends with what is wanted, once everything is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.subscriptions = Subscriptions(15.0)
        self.server: set[str] = set()
        self.answers: list[list[str]] = []
        self.now = 0.0

    symbols = st.lists(st.sampled_from(["A", "B", "C", "D"]), max_size=3)

    @rule(symbols=symbols)
    def want(self, symbols: list[str]) -> None:
        self.subscriptions.want(symbols)

    @rule(symbols=symbols)
    def unwant(self, symbols: list[str]) -> None:
        self.subscriptions.unwant(symbols)

    @rule()
    def reconcile(self) -> None:
        gone = self.subscriptions.to_unsubscribe()
        self.server.difference_update(gone)
        self.subscriptions.given_up(gone)
        asked = self.subscriptions.to_subscribe(self.now)
        if asked:
            self.subscriptions.asked(asked, self.now)
            self.server.update(asked)
            self.answers.append(asked)

    @rule(symbols=symbols)
    def change_a_mind(self, symbols: list[str]) -> None:
        self.unwant(symbols)
        self.reconcile()
        self.want(symbols)

    @rule()
    def answer(self) -> None:
        if self.answers:
            self.subscriptions.acknowledge(self.answers.pop(0), {}, self.now)

    @rule()
    def lose_an_answer(self) -> None:
        if self.answers:
            self.answers.pop(0)
            self.now += 2000.0

    @rule()
    def lose_the_connection(self) -> None:
        self.server.clear()
        self.answers.clear()
        self.subscriptions.reset(self.now)

    @invariant()
    def the_difference_can_always_be_closed(self) -> None:
        if self.subscriptions.to_unsubscribe() or self.subscriptions.to_subscribe(self.now) or self.answers:
            return
        pending = [symbol for symbol, (state, _) in self.subscriptions.states() if state == "pending"]
        if not pending:
            assert self.server == set(self.subscriptions.wanted)
            assert self.subscriptions.confirmed_count == len(self.server)

    def teardown(self) -> None:
        for _ in range(4):
            self.now += 2000.0
            self.reconcile()
            while self.answers:
                self.answer()
        assert self.server == set(self.subscriptions.wanted) == set(self.subscriptions.confirmed)


TestReconciliation = Reconciliation.TestCase
TestReconciliation.settings = settings(max_examples=500)
