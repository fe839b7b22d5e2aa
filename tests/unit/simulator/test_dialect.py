"""What all dialects share: limits under a scenario, budgets, and who is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.simulator.dialect import Budget, Choosy, Limits
from pricestreamd.simulator.scenarios import SCENARIOS, STEADY, find_scenario
from tests.unit.simulator.conversing import opened, request

LIMITS = Limits(connections_per_key=3, idle_timeout=180.0, lifetime=86_400.0, ping_every=20.0, pong_within=60.0)


def test_a_scenario_without_a_say_changes_no_limit() -> None:
    assert LIMITS.under(STEADY) == LIMITS


def test_scenarios_change_what_they_say() -> None:
    assert LIMITS.under(SCENARIOS["over-cap"]).max_symbols == 8
    assert LIMITS.under(SCENARIOS["kill-both"]).connections_per_key == 1
    assert LIMITS.under(find_scenario("lifetime:5s+hurry")).lifetime == 5.0


def test_in_a_hurry_the_clocks_run_faster_and_what_is_no_clock_stays() -> None:
    fast = LIMITS.under(find_scenario("hurry:20"))
    assert (fast.idle_timeout, fast.lifetime, fast.ping_every, fast.pong_within) == (9.0, 4320.0, 1.0, 3.0)
    assert fast.connections_per_key == 3
    assert Limits().under(find_scenario("hurry:20")).lifetime is None


@given(st.integers(1, 5), st.lists(st.floats(0.0, 0.4), max_size=60))
def test_a_budget_is_never_exceeded_within_any_window(allowed: int, waits: list[float]) -> None:
    budget, now = Budget(allowed, 1.0), 0.0
    passed: list[float] = []
    for wait in waits:
        now += wait
        recent = [at for at in passed if now - at < 1.0]
        assert budget.spent(now) == (len(recent) >= allowed)
        if len(recent) < allowed:
            passed.append(now)


def test_without_a_number_a_budget_has_no_end() -> None:
    budget = Budget(None, 1.0)
    assert not any(budget.spent(0.0) for _ in range(1000))


def test_every_third_is_refused_and_always_the_same() -> None:
    choosy = Choosy(3)
    assert [choosy.refuses(key) for key in "ABCDEFCA"] == [False, False, True, False, False, True, True, False]
    assert not any(Choosy(0).refuses(key) for key in "ABCDEF")


@pytest.mark.parametrize("provider", ["twelvedata", "binance", "iex", "alphavantage", "generic"])
def test_every_dialect_refuses_with_a_text_and_switches_its_scenario(provider: str) -> None:
    from pricestreamd.simulator.dialects import create, usual_limits

    dialect = create(provider, STEADY)
    for status in (400, 401, 403, 429, 500, 503):
        answer = dialect.refusal(status, "k")
        assert answer.body
        assert answer.status in (200, status, 403)
    assert dialect.refusal_in_band()
    assert dialect.stranger().isascii()
    assert dialect.limits == usual_limits(provider)
    dialect.switch(find_scenario("over-cap:2"))
    assert dialect.limits.max_symbols == 2
    assert dialect.face == dialect.faces.get(dialect.address, "events")
    assert isinstance(dialect.sign_of_life(1.0), str)


def test_a_dialect_without_a_stream_and_one_without_plain_requests_answer_404() -> None:
    from pricestreamd.simulator.dialects import create
    from tests.unit.simulator.conversing import Prices, refused

    assert refused(create("alphavantage", STEADY)).status == 404
    assert create("generic", STEADY).answer(request("/x"), Prices({}), 0.0).status == 404
    assert opened(create("twelvedata", STEADY)).farewell(1.0) is None
