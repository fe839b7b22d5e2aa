"""What is restored after a restart: alert states, what was made over the API, prices."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pricestreamd.model.errors import StateError
from pricestreamd.state.rows import AlertRow, AlertStateRow, PriceRow, SavedState, StateChange, SymbolRow
from pricestreamd.state.store import StateStore
from tests.unit.state.model import firing

PRICE = PriceRow("AAPL", 200.35, 1_700_000_000.25, 1_700_000_000.5, None, "USD", "us")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[StateStore]:
    made = StateStore(path, on_damage=pytest.fail)
    yield made
    await made.close()


async def kept(path: Path) -> SavedState:
    store = StateStore(path, on_damage=pytest.fail)
    found = await store.load()
    await store.close()
    return found


async def test_a_new_state_is_empty(store: StateStore) -> None:
    assert await store.load() == SavedState()


async def test_everything_of_a_change_is_there_after_a_restart(store: StateStore, path: Path) -> None:
    change = StateChange(
        alert_states=[AlertStateRow("high", "AAPL", b'{"armed":true}'), AlertStateRow("high", "MSFT", b"\x00\xff")],
        alerts=[AlertRow("z", b"{}"), AlertRow("a", b'{"above":1}')],
        symbols=[SymbolRow("us", "TSLA"), SymbolRow("eu", "SAP"), SymbolRow("eu", "TSLA")],
        prices=[PRICE, replace(PRICE, symbol="MSFT", volume=3.0, currency=None)],
    )
    await store.commit(change)
    await store.close()
    assert await kept(path) == SavedState(
        alert_states=tuple(change.alert_states),
        alerts=tuple(change.alerts),
        symbols=tuple(change.symbols),
        prices=tuple(change.prices),
    )


async def test_a_later_change_replaces_and_removes_by_key(store: StateStore) -> None:
    await store.commit(
        StateChange(
            alert_states=[AlertStateRow("high", symbol, b"1") for symbol in ("AAPL", "MSFT", "TSLA")],
            alerts=[AlertRow("z", b"1"), AlertRow("m", b"1"), AlertRow("a", b"1")],
            symbols=[SymbolRow("us", "TSLA"), SymbolRow("eu", "SAP")],
            prices=[PRICE],
        )
    )
    await store.commit(
        StateChange(
            alert_states=[AlertStateRow("high", "MSFT", b"2")],
            alert_states_gone=[("high", "TSLA"), ("high", "nosuch"), ("nosuch", "AAPL")],
            alerts=[AlertRow("z", b"2")],
            alerts_gone=["m", "nosuch"],
            symbols=[SymbolRow("us", "TSLA")],
            symbols_gone=[SymbolRow("eu", "SAP"), SymbolRow("eu", "TSLA")],
            prices=[replace(PRICE, price=1.0)],
        )
    )
    assert await store.load() == SavedState(
        alert_states=(AlertStateRow("high", "AAPL", b"1"), AlertStateRow("high", "MSFT", b"2")),
        alerts=(AlertRow("z", b"2"), AlertRow("a", b"1")),
        symbols=(SymbolRow("us", "TSLA"),),
        prices=(replace(PRICE, price=1.0),),
    )


async def test_what_goes_and_comes_in_one_change_is_there(store: StateStore) -> None:
    await store.commit(StateChange(alert_states=[AlertStateRow("high", "AAPL", b"1")], alerts=[AlertRow("a", b"1")]))
    await store.commit(
        StateChange(
            alert_states=[AlertStateRow("high", "AAPL", b"2")],
            alert_states_gone=[("high", "AAPL")],
            alerts=[AlertRow("a", b"2")],
            alerts_gone=["a"],
            symbols=[SymbolRow("us", "A")],
            symbols_gone=[SymbolRow("us", "A")],
        )
    )
    saved = await store.load()
    assert saved.alert_states == (AlertStateRow("high", "AAPL", b"2"),)
    assert saved.alerts == (AlertRow("a", b"2"),)
    assert saved.symbols == (SymbolRow("us", "A"),)


async def test_a_change_with_nothing_in_it_does_not_touch_the_disk(store: StateStore, path: Path) -> None:
    await store.commit(StateChange())
    await store.settle([])
    assert not path.exists()


@pytest.mark.parametrize(
    "broken",
    [
        StateChange(alert_states=[AlertStateRow("high", "\ud800", b"")]),
        StateChange(prices=[replace(PRICE, price=float("nan"))]),
        StateChange(prices=[replace(PRICE, volume=2**70)]),
    ],
    ids=["surrogate", "not a number", "beyond 64 bits"],
)
async def test_what_cannot_be_written_is_an_error_and_nothing_of_its_change_is_there(
    store: StateStore, broken: StateChange
) -> None:
    change = firing(1, "hook")
    change.alert_states += broken.alert_states
    change.prices += broken.prices
    with pytest.raises(StateError, match=r"state\.db: "):
        await store.commit(change)
    assert await store.load() == SavedState()
    assert await store.backlogs() == {}


async def test_a_call_that_was_cancelled_is_in_nobodys_way(store: StateStore) -> None:
    # While a task waits for the disk it may be cancelled (a sink that a reload replaces): the next call just follows.
    await store.open()
    for number in range(20):
        waiting = asyncio.create_task(store.commit(firing(number, "hook")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await store.commit(firing(1000 + number, "hook"))
    found = {delivery.event_id for delivery in await store.pending("hook")}
    assert found >= {f"firing-{1000 + number}" for number in range(20)}


async def test_the_loop_goes_on_while_the_disk_works(store: StateStore) -> None:
    await store.open()
    big = StateChange(alert_states=[AlertStateRow("high", f"S{n}", b"x" * 200) for n in range(50_000)])
    work = asyncio.create_task(store.commit(big))
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    await work
    # A loop that had waited would have had a handful.
    assert turns > 20


async def test_ten_thousand_alert_states_and_deliveries_are_read_within_half_a_second(path: Path) -> None:
    first = StateStore(path, on_damage=pytest.fail)
    for start in range(0, 10_000, 1_000):
        change = StateChange()
        for number in range(start, start + 1_000):
            one = firing(number, "hook", symbol=f"S{number}", size=500)
            change.alert_states += one.alert_states
            change.events += one.events
            change.owed += one.owed
        await first.commit(change)
    await first.close()
    store = StateStore(path, on_damage=pytest.fail)
    began = time.process_time()  # of ours: the machine has others to serve
    await store.open()
    states = (await store.load()).alert_states
    pending, after = 0, 0
    while page := await store.pending("hook", after=after):
        pending, after = pending + len(page), page[-1].number
    spent = time.process_time() - began
    await store.close()
    assert (len(states), pending) == (10_000, 10_000)
    assert spent < 0.5, f"{spent:.3f} s"
