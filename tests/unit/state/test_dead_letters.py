"""What was given up: kept with its reason, listed, tried again, forgotten; bounded, and alerts never give way to others."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pricestreamd.model.events import event_of
from pricestreamd.sinks.outbox.letters import letter_of
from pricestreamd.state.bounds import TRIM_EVERY, Bounds
from pricestreamd.state.rows import Letter, StateChange
from pricestreamd.state.store import StateStore
from tests.unit.sinks.samples import alert_named, custom, failed, update

NOW = 1_700_000_100.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StateStore]:
    store = StateStore(tmp_path / "state.db", on_damage=print, bounds=Bounds(dead=5))
    yield store
    await store.close()


def letter(number: int, sink: str = "hook", **fields: object) -> Letter:
    row, owed = letter_of(update(number), sink, failed("constraint"), 2, now=NOW)
    return row, replace(owed, **fields)  # type: ignore[arg-type]


async def test_a_dead_letter_is_kept_with_its_reason_and_its_event(store: StateStore) -> None:
    await store.keep([letter(1)])
    (kept,) = await store.owed(dead=True)
    assert (kept.sink, kept.event_id, kept.attempts, kept.last_error, kept.dead) == (
        "hook",
        "run-1",
        2,
        "constraint",
        True,
    )
    assert event_of(kept.body) == update(1)
    assert await store.pending("hook") == []
    (report,) = await store.deliveries_of(["run-1"])
    assert (report.result, report.error) == ("dead", "constraint")
    assert (await store.backlogs())["hook"].dead == 1


async def test_what_comes_again_is_one_letter(store: StateStore) -> None:
    await store.keep([letter(1)])
    await store.keep([letter(1, attempts=3)])
    assert [kept.attempts for kept in await store.owed()] == [3]


async def test_a_letter_may_be_owed_from_now_on(store: StateStore) -> None:
    await store.keep([letter_of(custom(symbol="AAPL"), "hook", failed(), 3, now=NOW, due_at=NOW + 5)])
    (owed,) = await store.pending("hook")
    assert (owed.attempts, owed.due_at, owed.dead) == (3, NOW + 5, False)
    assert [row.event_id for row in await store.owed("hook", dead=False)] == ["run-1"]


async def test_the_list_is_newest_first_and_of_one_sink_where_asked(store: StateStore) -> None:
    await store.keep([letter(1), letter(2, "ticks"), letter(3)])
    assert [row.event_id for row in await store.owed()] == ["run-3", "run-2", "run-1"]
    assert [row.event_id for row in await store.owed("hook", limit=1)] == ["run-3"]
    assert await store.owed("nobody") == []


async def test_revived_they_are_owed_anew_with_a_whole_schedule(store: StateStore) -> None:
    await store.keep([letter(1), letter(2, "ticks"), letter(3)])
    (newest, *_) = await store.owed("hook")
    assert await store.revive("hook", [newest.number, 999]) == {"hook": 1}
    (owed,) = await store.pending("hook")
    assert (owed.event_id, owed.attempts, owed.due_at) == ("run-3", 0, 0.0)
    assert owed.created_at > NOW
    assert await store.revive() == {"hook": 1, "ticks": 1}
    assert await store.revive() == {}


async def test_discarded_they_and_their_events_are_gone_and_what_waits_is_not(store: StateStore) -> None:
    await store.keep([letter(1), letter(2, dead=False), letter(3, "ticks")])
    assert await store.discard("hook") == {"hook": 1}
    assert [row.event_id for row in await store.owed()] == ["run-3", "run-2"]
    assert await store.discard() == {"ticks": 1}
    assert await store.discard(waiting=["hook"]) == {"hook": 1}
    assert await store.owed() == []


async def test_s10_dead_letters_are_bounded_and_those_of_alerts_never_give_way_to_others(store: StateStore) -> None:
    firing = alert_named("f" * 16)
    row, owed = letter_of(firing, "hook", failed(), 1, now=NOW)
    await store.commit(StateChange(events=[row], owed=[(row.event_id, "hook")]))
    await store.keep([(row, owed)])
    for first in range(0, TRIM_EVERY + 20, 20):
        await store.keep([letter(number) for number in range(first, first + 20)])
    kept = await store.owed(dead=True, limit=10_000)
    assert kept[-1].event_id == firing.firing_id
    assert len(kept) <= 1 + 5 + 20


async def test_some_are_found_by_their_numbers_and_by_their_events(store: StateStore) -> None:
    await store.keep([letter(1), letter(2), letter(1, "phone"), letter(3, dead=False)])
    known = {(one.event_id, one.sink): one.number for one in await store.owed()}
    found = await store.owed_these([known["run-2", "hook"], 10_000], ["run-1", "none"])
    assert [(one.event_id, one.sink, one.dead) for one in found] == [
        ("run-1", "hook", True),
        ("run-2", "hook", True),
        ("run-1", "phone", True),
    ]
    assert [one.dead for one in await store.owed_these([known["run-3", "hook"]])] == [False]
    many = [*range(10_000, 11_200), known["run-2", "hook"]]
    assert [one.event_id for one in await store.owed_these(many)] == ["run-2"]
    assert await store.owed_these() == []
