"""What sinks owe: kept until it is delivered or given up, once, and in the order of commits."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pricestreamd.model.errors import StateError
from pricestreamd.model.secret import Secret
from pricestreamd.state.reasons import ERROR_CHARACTERS
from pricestreamd.state.rows import Backlog, Delivery, DeliveryReport, EventRow, StateChange
from pricestreamd.state.store import StateStore
from tests.unit.state.model import firing, outcome


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StateStore]:
    made = StateStore(tmp_path / "state.db", on_damage=pytest.fail)
    await made.open()
    yield made
    await made.close()


def error(number: int, *sinks: str) -> StateChange:
    event = EventRow(f"run-{number}", "price.error", None, None, 1.0, b"{}")
    return StateChange(events=[event], owed=[(event.event_id, sink) for sink in sinks])


async def ids(store: StateStore, sink: str) -> list[str]:
    return [delivery.event_id for delivery in await store.pending(sink)]


async def test_a_delivery_waits_with_all_that_a_sink_needs(store: StateStore) -> None:
    change = firing(1, "hook", "phone")
    before = time.time()
    await store.commit(change)
    (delivery,) = await store.pending("hook")
    assert before <= delivery.created_at <= time.time()
    assert delivery == Delivery(
        delivery.number, "hook", "firing-1", "price.alert", change.events[0].body, delivery.created_at
    )
    assert await ids(store, "phone") == ["firing-1"]
    assert await store.pending("nobody") == []


async def test_deliveries_come_in_the_order_of_their_commits_and_in_pages(store: StateStore) -> None:
    for number in (5, 3, 9, 1):
        await store.commit(firing(number, "hook", "phone"))
    first = await store.pending("hook", limit=3)
    assert [each.event_id for each in first] == ["firing-5", "firing-3", "firing-9"]
    assert [each.number for each in first] == sorted(each.number for each in first)
    rest = await store.pending("hook", after=first[-1].number, limit=3)
    assert [each.event_id for each in rest] == ["firing-1"]


async def test_the_number_of_a_delivery_is_never_used_again(store: StateStore) -> None:
    await store.commit(firing(1, "hook"))
    (first,) = await store.pending("hook")
    await store.settle([outcome("firing-1")])
    await store.commit(firing(2, "hook"))
    assert [each.event_id for each in await store.pending("hook", after=first.number)] == ["firing-2"]


async def test_what_was_delivered_is_not_owed_any_more_but_the_firing_stays(store: StateStore) -> None:
    await store.commit(firing(1, "hook", "phone"))
    await store.settle([outcome("firing-1", "hook")])
    assert await ids(store, "hook") == []
    assert await ids(store, "phone") == ["firing-1"]
    await store.settle([outcome("firing-1", "phone")])
    assert await store.backlogs() == {}
    assert [row.event_id for row in await store.events_of("high")] == ["firing-1"]


async def test_an_event_that_is_no_alert_goes_with_its_last_delivery(store: StateStore) -> None:
    await store.commit(error(1, "hook", "phone"))
    count = "SELECT count(*) FROM events"
    await store.settle([outcome("run-1", "hook")])
    assert await store._call(lambda own: own.execute(count).fetchone()) == (1,)
    await store.settle([outcome("run-1", "phone")])
    assert await store._call(lambda own: own.execute(count).fetchone()) == (0,)
    # Its reports stay for who asks.
    assert [report.sink for report in await store.deliveries_of(["run-1"])] == ["hook", "phone"]


async def test_a_failed_attempt_is_kept_with_its_next_time_and_its_error(store: StateStore) -> None:
    await store.commit(firing(1, "hook"))
    await store.settle([outcome("firing-1", result="retry", attempts=2, due_at=99.5, error="503")])
    (delivery,) = await store.pending("hook")
    assert (delivery.attempts, delivery.due_at, delivery.last_error, delivery.dead) == (2, 99.5, "503", False)


async def test_what_is_given_up_is_not_pending_and_is_kept_for_a_person(store: StateStore) -> None:
    for number in (1, 2, 3):
        await store.commit(firing(number, "hook"))
    await store.settle([outcome("firing-2", result="dead", attempts=8, error="410")])
    assert await ids(store, "hook") == ["firing-1", "firing-3"]
    (first, _) = await store.pending("hook")
    assert await store.backlogs() == {"hook": Backlog(pending=2, dead=1, oldest_at=first.created_at)}
    # An attempt that was under way does not bring it back, but its success counts.
    await store.settle([outcome("firing-2", result="retry", attempts=9)])
    assert await ids(store, "hook") == ["firing-1", "firing-3"]
    await store.settle([outcome("firing-2", attempts=10)])
    assert (await store.backlogs())["hook"].dead == 0


async def test_a_sink_that_has_given_everything_up_has_no_oldest(store: StateStore) -> None:
    await store.commit(firing(1, "hook"))
    await store.settle([outcome("firing-1", result="dead")])
    assert await store.backlogs() == {"hook": Backlog(pending=0, dead=1, oldest_at=None)}


async def test_the_same_change_twice_is_owed_once(store: StateStore) -> None:
    await store.commit(firing(1, "hook"))
    await store.settle([outcome("firing-1", result="retry", attempts=1, due_at=7.0)])
    await store.commit(firing(1, "hook", "phone"))
    (delivery,) = await store.pending("hook")
    assert (delivery.attempts, delivery.due_at) == (1, 7.0)
    assert await ids(store, "phone") == ["firing-1"]
    assert len(await store.events_of("high")) == 1


@pytest.mark.parametrize("change", [firing(1, "hook"), error(1, "hook")], ids=["alert", "error"])
async def test_what_was_delivered_is_not_owed_again_when_its_change_comes_again(
    store: StateStore, change: StateChange
) -> None:
    (event,) = change.events
    await store.commit(change)
    await store.settle([outcome(event.event_id)])
    await store.commit(change)
    assert await store.backlogs() == {}
    left = await store._call(lambda own: own.execute("SELECT alert_id FROM events").fetchall())
    assert left == ([("high",)] if event.alert_id else [])


async def test_what_was_delivered_from_memory_before_its_commit_is_not_owed(store: StateStore) -> None:
    # The disk was full when it fired, and has space again now.
    await store.settle([outcome("firing-1", "hook")])
    await store.commit(firing(1, "hook", "phone"))
    assert await ids(store, "hook") == []
    assert await ids(store, "phone") == ["firing-1"]
    assert len(await store.deliveries_of(["firing-1"])) == 1


async def test_an_attempt_that_failed_from_memory_is_owed_after_the_commit(store: StateStore) -> None:
    await store.settle([outcome("firing-1", result="retry"), outcome("firing-1", "phone", "dead")])
    await store.commit(firing(1, "hook", "phone"))
    assert await ids(store, "hook") == await ids(store, "phone") == ["firing-1"]


async def test_something_owed_of_an_event_that_is_not_there_writes_nothing(store: StateStore) -> None:
    change = firing(1, "hook")
    change.owed.append(("nosuch", "hook"))
    with pytest.raises(StateError, match=r"state\.db: FOREIGN KEY constraint failed"):
        await store.commit(change)
    assert await store.backlogs() == {}
    assert (await store.load()).alert_states == ()
    await store.commit(firing(1, "hook"))
    assert await ids(store, "hook") == ["firing-1"]


async def test_something_may_be_owed_of_an_event_that_was_kept_before(store: StateStore) -> None:
    await store.commit(firing(1, "hook"))
    await store.commit(StateChange(owed=[("firing-1", "phone")]))
    assert await ids(store, "phone") == ["firing-1"]


async def test_past_firings_are_found_by_alert_and_symbol_newest_first(store: StateStore) -> None:
    for number in range(6):
        await store.commit(firing(number, symbol="RY:tsx" if number % 2 else "AAPL"))
    await store.commit(firing(9, alert_id="low"))
    assert [row.event_id for row in await store.events_of("high", limit=3)] == ["firing-5", "firing-4", "firing-3"]
    # Case and surrounding space of a symbol do not matter; the row has the event's own spelling.
    found = await store.events_of("high", " ry:TSX")
    assert [(row.event_id, row.symbol) for row in found] == [(f"firing-{n}", "RY:tsx") for n in (5, 3, 1)]
    assert found[0] == firing(5, symbol="RY:tsx").events[0]
    assert await store.events_of("nosuch") == []


async def test_every_attempt_is_told_in_order(store: StateStore) -> None:
    for number in (1, 2):
        await store.commit(firing(number, "hook"))
    retry = outcome("firing-1", result="retry", attempts=1, due_at=5.0, error="503 Service Unavailable")
    await store.settle([retry])
    await store.settle([outcome("firing-2"), outcome("firing-1", attempts=2)])
    assert await store.deliveries_of(["firing-1", "firing-2", "nosuch"]) == [
        DeliveryReport("firing-1", "hook", "retry", 1, retry.at, "503 Service Unavailable"),
        DeliveryReport("firing-2", "hook", "delivered", 1, retry.at, None),
        DeliveryReport("firing-1", "hook", "delivered", 2, retry.at + 1, None),
    ]
    assert await store.deliveries_of([]) == []


async def test_reports_of_many_events_are_found_at_once(store: StateStore) -> None:
    many = [f"firing-{number}" for number in range(1_234)]
    await store.settle([outcome(event_id) for event_id in many])
    assert [report.event_id for report in await store.deliveries_of(many)] == many


async def test_an_outcome_that_is_told_twice_is_one_report(store: StateStore) -> None:
    await store.commit(firing(1, "hook"))
    for _ in range(2):
        await store.settle([outcome("firing-1", result="retry", error="503")])
        await store.settle([outcome("firing-1", attempts=2)])
    assert [report.result for report in await store.deliveries_of(["firing-1"])] == ["retry", "delivered"]


async def test_an_error_is_kept_short_without_secrets_and_whatever_its_characters(store: StateStore) -> None:
    Secret("canary-77d01")
    await store.commit(firing(1, "hook"))
    told = "refused canary-77d01 \udcff" + "y" * 10_000
    await store.settle([outcome("firing-1", result="retry", error=told)])
    (delivery,) = await store.pending("hook")
    assert delivery.last_error is not None
    assert delivery.last_error.startswith("refused *** ?yyy")
    assert len(delivery.last_error) == ERROR_CHARACTERS
    assert [report.error for report in await store.deliveries_of(["firing-1"])] == [delivery.last_error]
