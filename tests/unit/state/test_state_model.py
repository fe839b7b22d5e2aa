"""The store against plain dicts: whatever is committed, settled, reopened and killed, both hold the same."""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pricestreamd.model.errors import StateError
from pricestreamd.state.bounds import Bounds
from pricestreamd.state.rows import (
    AlertRow,
    AlertStateRow,
    EventRow,
    Outcome,
    PriceRow,
    StateChange,
    SymbolRow,
)
from pricestreamd.state.store import StateStore
from tests.unit.state.model import ALL, MEMORY, Model, read_all

# Few names, so that they meet.
ALERT_IDS = st.sampled_from(["high", "low", "ünïcode-✓"])
SYMBOLS = st.sampled_from(["AAPL", "BTC/USD"])
SINKS = st.sampled_from(["hook", "phone"])
EVENT_IDS = st.integers(0, 9).map("event-{}".format)
RECORDS = st.binary(max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)

EVENTS = st.dictionaries(EVENT_IDS, st.tuples(st.none() | ALERT_IDS, RECORDS), max_size=3)
OUTCOMES = st.lists(
    st.builds(
        Outcome,
        event_id=EVENT_IDS,
        sink=SINKS,
        result=st.sampled_from(["delivered", "retry", "dead"]),
        attempts=st.integers(1, 3),
        at=NUMBERS,
        due_at=NUMBERS,
        error=st.none() | st.sampled_from(["503", "no route"]),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def changes(draw: st.DrawFn) -> StateChange:
    places = st.tuples(ALERT_IDS, SYMBOLS)
    symbols = st.builds(SymbolRow, st.sampled_from(["us", "eu"]), SYMBOLS)
    events = draw(EVENTS)
    owed = [(event_id, sink) for event_id in events for sink in draw(st.sets(SINKS))]
    return StateChange(
        alert_states=draw(st.lists(st.builds(AlertStateRow, ALERT_IDS, SYMBOLS, RECORDS), max_size=3)),
        alert_states_gone=draw(st.lists(places, max_size=1)),
        alerts=draw(st.lists(st.builds(AlertRow, ALERT_IDS, RECORDS), max_size=1)),
        alerts_gone=draw(st.lists(ALERT_IDS, max_size=1)),
        symbols=draw(st.lists(symbols, max_size=1)),
        symbols_gone=draw(st.lists(symbols, max_size=1)),
        prices=draw(
            st.lists(
                st.builds(PriceRow, SYMBOLS, NUMBERS, NUMBERS, NUMBERS, st.none() | NUMBERS, st.just("USD"), SYMBOLS),
                max_size=1,
            )
        ),
        events=[
            EventRow(event_id, "price.alert" if alert_id else "price.error", "AAPL", alert_id, 1.0, body)
            for event_id, (alert_id, body) in events.items()
        ],
        owed=owed,
    )


class StateMachine(RuleBasedStateMachine):
    """A store that is used, closed and opened again, and killed: its files are copied, and the copy goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="state-model-", dir=MEMORY))
        self.model = Model()
        self.copies = 0
        self.runner = asyncio.Runner()

    @initialize()
    def begin(self) -> None:
        self.store = self.made(self.folder / "state.db")

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def made(self, path: Path) -> StateStore:
        # Nothing is old enough to be forgotten: the model remembers everything.
        return StateStore(path, on_damage=pytest.fail, bounds=Bounds(ALL, ALL, ALL, ALL))

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    def call(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        return self.do(self.store._call(work))

    @rule(change=changes())
    def commit(self, change: StateChange) -> None:
        self.do(self.store.commit(change))
        self.model.commit(change)

    @rule(outcomes=OUTCOMES)
    def settle(self, outcomes: Sequence[Outcome]) -> None:
        self.do(self.store.settle(outcomes))
        self.model.settle(outcomes)

    @rule(change=changes())
    def commit_what_cannot_be(self, change: StateChange) -> None:
        change.owed.append(("nosuch", "hook"))
        with pytest.raises(StateError, match="FOREIGN KEY"):
            self.do(self.store.commit(change))

    @rule()
    def reopen(self) -> None:
        self.do(self.store.close())
        self.store = self.made(self.store.path)

    @rule()
    def kill(self) -> None:
        self.go_on_with(self.snapshot())

    @rule(change=changes(), outcomes=OUTCOMES, settling=st.booleans(), after=st.integers(1, 12))
    def kill_in_the_middle(self, change: StateChange, outcomes: list[Outcome], settling: bool, after: int) -> None:
        """As the statement that comes `after` others begins; if there are not so many, when all are done."""
        begun: list[str] = []
        copied: list[Path] = []

        def count(statement: str) -> None:
            begun.append(statement)
            if len(begun) == after:
                copied.append(self.snapshot())

        self.call(lambda own: own.set_trace_callback(count))
        self.do(self.store.settle(outcomes) if settling else self.store.commit(change))
        self.call(lambda own: own.set_trace_callback(None))
        # The last one was about to begin, and had done nothing yet.
        done = not copied or "COMMIT" in begun[: after - 1]
        event(f"killed {'after' if done else 'in'} a transaction")
        if done and settling:
            self.model.settle(outcomes)
        elif done:
            self.model.commit(change)
        self.go_on_with(copied[0] if copied else self.snapshot())

    def snapshot(self) -> Path:
        """What the disk would hold had the process been killed now."""
        self.copies += 1
        folder = self.folder / str(self.copies)
        folder.mkdir()
        for suffix in ("", "-wal", "-shm"):
            source = Path(f"{self.store.path}{suffix}")
            if source.exists():
                shutil.copyfile(source, folder / f"state.db{suffix}")
        return folder / "state.db"

    def go_on_with(self, path: Path) -> None:
        self.do(self.store.close())
        self.store = self.made(path)

    @invariant()
    def same(self) -> None:
        assert self.call(read_all) == self.model.contents()


TestStateMachine = StateMachine.TestCase
TestStateMachine.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
