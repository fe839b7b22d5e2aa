"""Changes that are not written yet: the newest of each thing wins, whatever was put back in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.daemon.journal.unwritten import MOST_EVENTS, Unwritten
from pricestreamd.state.rows import AlertRow, AlertStateRow, EventRow, PriceRow, StateChange, SymbolRow

_names = st.sampled_from(["a", "b"])
_numbers = st.integers(0, 9)


def event(event_id: str) -> EventRow:
    return EventRow(event_id, "price.alert", "AAPL", "x", 1.0, b"{}")


def price(symbol: str, value: float) -> PriceRow:
    return PriceRow(symbol, value, 1.0, 1.0, None, None, "us")


@st.composite
def changes(draw: st.DrawFn) -> StateChange:
    """One kind of change, as it comes: never something gone and there at once."""
    name, number = draw(_names), draw(_numbers)
    return draw(
        st.sampled_from(
            [
                StateChange(alert_states=[AlertStateRow(name, "AAPL", b"%d" % number)]),
                StateChange(alert_states_gone=[(name, "AAPL")]),
                StateChange(alerts=[AlertRow(name, b"%d" % number)]),
                StateChange(alerts_gone=[name]),
                StateChange(symbols=[SymbolRow("us", name)]),
                StateChange(symbols_gone=[SymbolRow("us", name)]),
                StateChange(prices=[price(name, number + 1.0)]),
            ]
        )
    )


class Kept:
    """What a file holds after some transactions."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], bytes] = {}
        self.alerts: dict[str, bytes] = {}
        self.symbols: set[SymbolRow] = set()
        self.prices: dict[str, float] = {}

    def write(self, change: StateChange) -> None:
        for place in change.alert_states_gone:
            self.states.pop(place, None)
        self.states |= {(row.alert_id, row.symbol): row.record for row in change.alert_states}
        for alert_id in change.alerts_gone:
            self.alerts.pop(alert_id, None)
        self.alerts |= {row.alert_id: row.definition for row in change.alerts}
        self.symbols -= set(change.symbols_gone)
        self.symbols |= set(change.symbols)
        self.prices |= {row.symbol: row.price for row in change.prices}


@given(st.lists(st.tuples(changes(), st.sampled_from(["wait", "write", "refuse"])), max_size=30))
def test_whatever_the_disk_refuses_in_between_the_file_ends_as_if_each_change_had_been_written(
    steps: list[tuple[StateChange, str]],
) -> None:
    expected, kept, unwritten = Kept(), Kept(), Unwritten()
    for change, disk in steps:
        expected.write(change)
        unwritten.add(change)
        if disk == "wait":
            continue
        taken = unwritten.take()
        assert not unwritten
        if disk == "write":
            kept.write(taken)
        else:
            unwritten.put_back(taken)
    kept.write(unwritten.take())
    assert vars(kept) == vars(expected)


def test_a_change_that_was_put_back_does_not_overrule_a_newer_one() -> None:
    unwritten = Unwritten()
    unwritten.add(StateChange(alert_states=[AlertStateRow("x", "AAPL", b"old")]))
    refused = unwritten.take()
    unwritten.add(StateChange(alert_states_gone=[("x", "AAPL")]))
    unwritten.put_back(refused)
    assert unwritten.take() == StateChange(alert_states_gone=[("x", "AAPL")])


def test_events_keep_their_order_and_who_is_owed_them() -> None:
    unwritten = Unwritten()
    unwritten.add(StateChange(events=[event("1")], owed=[("1", "hook"), ("1", "file")]))
    refused = unwritten.take()
    unwritten.add(StateChange(events=[event("2")], owed=[("2", "hook")]))
    unwritten.put_back(refused)
    change = unwritten.take()
    assert [row.event_id for row in change.events] == ["1", "2"]
    assert change.owed == [("1", "hook"), ("1", "file"), ("2", "hook")]


def test_a_disk_that_refuses_for_days_costs_the_oldest_events_and_counts_them() -> None:
    unwritten = Unwritten()
    for number in range(MOST_EVENTS + 3):
        unwritten.add(StateChange(events=[event(str(number))], owed=[(str(number), "hook")]))
    change = unwritten.take()
    assert (unwritten.lost, len(change.events), len(change.owed)) == (3, MOST_EVENTS, MOST_EVENTS)
    assert change.events[0].event_id == change.owed[0][0] == "3"


def test_nothing_changed_is_nothing_to_write() -> None:
    unwritten = Unwritten()
    assert not unwritten
    assert not unwritten.take()
    unwritten.add(StateChange())
    assert not unwritten
