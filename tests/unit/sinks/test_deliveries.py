"""Whose turn it is: numbers only, against the rules written down naively."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.sinks.outbox.deliveries import NEVER, REMEMBERED, Deliveries, Entry
from tests.unit.sinks.outbox_samples import delivery

NOW = 1000.0


def entry(number: int, *, attempts: int = 0, due: float = NOW, new: bool = False, name: str = "") -> Entry:
    row = delivery(name or f"e{number}", number, attempts=attempts)
    return Entry(row, (number or NEVER, number), born=0.0, due=due, new=new)


def made(*entries: Entry, capacity: int = 1000) -> Deliveries:
    deliveries = Deliveries(capacity)
    for each in entries:
        assert deliveries.admit(each)
    return deliveries


def about(entry: Entry, symbol: str) -> Entry:
    body = b'{"event": "price.alert", "alert_id": "a", "symbol": "%s"}' % symbol.encode()
    entry.delivery = replace(entry.delivery, body=body)
    return entry


def turns(deliveries: Deliveries, now: float = NOW, most: int = 100, **pace: float | bool) -> list[str]:
    found: list[str] = []
    fields = {"dead": False, "free_at": 0.0, "read_to": NEVER, **pace}
    while len(found) < most and (each := deliveries.next(now, **fields)) is not None:  # type: ignore[arg-type]  # three words, three kinds
        found.append(each.id)
    return found


def test_what_was_never_tried_comes_in_the_order_of_commits_and_then_what_is_due() -> None:
    entries = [
        entry(5, new=True),
        entry(1, attempts=1),
        entry(3),
        entry(4, new=True),
        entry(2, attempts=2, due=NOW - 5),
    ]
    assert turns(made(*entries)) == ["e3", "e4", "e5", "e2", "e1"]


def test_what_is_not_due_waits() -> None:
    deliveries = made(entry(1, attempts=1, due=NOW + 5), entry(2, attempts=1, due=NOW + 3))
    assert turns(deliveries) == []
    assert deliveries.next_at(0.0) == NOW + 3
    assert deliveries.next_at(NOW + 4) == NOW + 4
    assert turns(deliveries, NOW + 5) == ["e2", "e1"]
    assert deliveries.next_at(0.0) == NEVER


@pytest.mark.parametrize("dead", [True, False])
def test_only_what_is_new_is_tried_while_the_destination_must_be_left_alone(dead: bool) -> None:
    deliveries = made(entry(1), entry(2, attempts=1), entry(3, new=True))
    assert turns(deliveries, dead=dead, free_at=NOW + 10) == ["e3"]
    assert deliveries.next_at(NOW + 10) == NOW + 10
    assert turns(deliveries, dead=dead) == ["e1", "e2"]


def test_after_each_pause_of_a_dead_destination_one_that_waits_has_its_turn_whatever_is_new() -> None:
    deliveries = made(entry(1, attempts=1), entry(2, attempts=1), *(entry(number, new=True) for number in range(3, 7)))
    assert turns(deliveries, NOW, dead=True, free_at=NOW, most=3) == ["e1", "e3", "e4"]
    assert turns(deliveries, NOW + 2, dead=True, free_at=NOW + 2) == ["e2", "e5", "e6"]


def test_such_turns_go_round_so_that_what_a_destination_refuses_for_ever_holds_up_no_other() -> None:
    refused = [about(entry(number, attempts=1, due=NOW - 20 + number), "AAPL") for number in range(1, 9)]
    deliveries = made(*refused, about(entry(9, attempts=1, due=NOW), "MSFT"), entry(10, attempts=1, due=NOW))
    found = [turns(deliveries, NOW + pause, dead=True, free_at=NOW + pause, most=1) for pause in range(5)]
    assert found == [["e1"], ["e9"], ["e10"], ["e2"], ["e3"]]


def test_a_short_gap_changes_no_order() -> None:
    deliveries = made(entry(1), entry(2, new=True))
    assert turns(deliveries, free_at=NOW + 0.1) == []
    assert turns(deliveries, NOW + 0.1, free_at=NOW + 0.1) == ["e1", "e2"]


def test_a_new_one_waits_for_older_ones_that_are_still_to_be_read_but_not_on_a_dead_destination() -> None:
    deliveries = made(entry(9, new=True), entry(1, attempts=1))
    assert turns(deliveries, read_to=8) == ["e1"]
    assert deliveries.next_at(0.0) <= NOW
    assert turns(deliveries, read_to=8, dead=True) == ["e9"]


def test_a_new_one_that_has_waited_takes_turns_with_a_backlog() -> None:
    deliveries = made(*(entry(number) for number in range(1, 6)), *(entry(number, new=True) for number in range(6, 10)))
    assert deliveries.next(NOW, dead=False, free_at=0.0, read_to=NEVER) is deliveries.known["e1"]
    assert turns(deliveries, NOW + 1) == ["e6", "e2", "e7", "e3", "e8", "e4", "e9", "e5"]


def test_a_new_one_does_not_wait_for_long_for_others_to_be_read() -> None:
    deliveries = made(entry(9, new=True))
    assert turns(deliveries, NOW + 0.4, read_to=8) == []
    assert turns(deliveries, NOW + 0.6, read_to=8) == ["e9"]


def test_a_backlog_is_not_starved_by_new_ones_while_the_destination_is_met_gently() -> None:
    deliveries = made(entry(1), *(entry(number, new=True) for number in range(6, 10)))
    assert turns(deliveries, NOW + 1, free_at=NOW + 1.1) == ["e6"]
    assert turns(deliveries, NOW + 1.1, free_at=NOW + 1.1) == ["e1", "e7", "e8", "e9"]


def test_where_only_new_ones_may_be_tried_nobody_else_has_a_turn() -> None:
    deliveries = made(entry(1), entry(2, attempts=1), entry(3, new=True))
    assert turns(deliveries, only_new=True) == ["e3"]
    assert deliveries.next_at(0.0, only_new=True) == NEVER
    assert deliveries.next_at(0.0) == 0.0


def test_a_number_that_is_told_later_puts_an_entry_in_its_place() -> None:
    first, second = entry(0, new=True, name="a"), entry(0, new=True, name="b")
    deliveries = made(first, second, entry(2, name="read"))
    deliveries.confirm(second, delivery("b", 3))
    deliveries.confirm(first, delivery("a", 1))
    deliveries.confirm(first, delivery("a", 99))
    assert first.clean
    assert turns(deliveries) == ["a", "read", "b"]


def test_what_was_read_before_its_news_came_is_new_all_the_same() -> None:
    deliveries = made(one := entry(1), two := entry(2, attempts=1))
    deliveries.renew(one)
    deliveries.renew(two)
    assert turns(deliveries, dead=True, free_at=NOW + 10) == ["e1"]


def test_what_is_full_takes_nobody_who_is_not_more_urgent_than_somebody() -> None:
    deliveries = made(entry(1, attempts=1, due=NOW + 10), entry(2, attempts=1, due=NOW + 20), capacity=2)
    assert not deliveries.admit(entry(3, attempts=1, due=NOW + 30))
    assert deliveries.left_out_at == NEVER
    assert deliveries.admit(entry(4, attempts=1, due=NOW + 15))
    assert deliveries.left_out_at == NOW + 20
    assert deliveries.admit(entry(5))
    assert deliveries.admit(entry(6))
    assert deliveries.left_out_at == NOW + 10
    assert not deliveries.admit(entry(7))
    assert deliveries.admit(entry(8, new=True))
    assert deliveries.left_out_at == NOW
    assert turns(deliveries) == ["e5", "e8"]


def test_what_the_outbox_does_not_know_everything_of_is_never_left_to_it() -> None:
    unsettled, unknown = entry(1, attempts=1, due=NOW + 10), entry(0, attempts=1, due=NOW + 20)
    unsettled.settled = False
    deliveries = made(unsettled, unknown, capacity=2)
    assert deliveries.crowded
    assert not deliveries.has_room(NOW)
    assert not deliveries.admit(entry(3, new=True))
    unsettled.settled = True
    assert deliveries.admit(entry(3, new=True))
    assert set(deliveries.known) == {"e0", "e3"}


def test_what_was_tried_waits_for_its_time_and_what_is_settled_is_gone() -> None:
    deliveries = made(one := entry(1))
    assert turns(deliveries) == ["e1"]
    assert "e1" in deliveries
    one.attempts = 1
    deliveries.again(one, due=NOW + 5, at=NOW + 5)
    assert turns(deliveries, NOW + 4) == []
    assert turns(deliveries, NOW + 5) == ["e1"]
    deliveries.finish(one)
    deliveries.finish(one)
    assert len(deliveries) == 0


def test_everybody_is_brought_forward_once_between_two_attempts_in_time() -> None:
    deliveries = made(one := entry(1, attempts=2, due=NOW + 500))
    deliveries.bring_forward(NOW)
    assert turns(deliveries) == ["e1"]
    deliveries.tried_early(one)
    deliveries.again(one, due=NOW + 500, at=NOW + 500)
    deliveries.bring_forward(NOW)
    assert turns(deliveries) == []
    assert turns(deliveries, NOW + 500) == ["e1"]
    one.attempts = 3
    deliveries.again(one, due=NOW + 900, at=NOW + 900)
    deliveries.bring_forward(NOW + 600)
    assert turns(deliveries, NOW + 600) == ["e1"]


def test_who_was_brought_forward_is_remembered_within_bounds() -> None:
    deliveries = Deliveries()
    for number in range(REMEMBERED + 5):
        deliveries.tried_early(entry(number, attempts=1))
    assert len(deliveries._brought) == REMEMBERED


@dataclass
class Naive:
    """The rules as sentences."""

    entries: list[Entry] = field(default_factory=list)
    overtaken: bool = False
    paused_to: float | None = None

    def next(self, now: float, dead: bool, free_at: float, only_new: bool) -> str | None:
        new = sorted((e for e in self.entries if not e.attempts and e.new), key=lambda e: e.order)
        old = sorted((e for e in self.entries if not e.attempts and not e.new), key=lambda e: e.order)
        later = sorted((e for e in self.entries if e.attempts), key=lambda e: (e.at, e.order))
        due = [e for e in later if e.at <= now]
        if dead and not only_new and now >= free_at and (old or due) and self.paused_to != free_at:
            self.paused_to, self.overtaken = free_at, self.overtaken and not old
            return (old or due)[0].id
        if only_new or (new and (dead or free_at - now > 0.5)):
            return new[0].id if new else None
        if new and (not old or new[0].order < old[0].order):
            return new[0].id
        if new and now - new[0].due > 0.5 and not self.overtaken:
            self.overtaken = True
            return new[0].id
        if old and now >= free_at:
            self.overtaken = False
        waiting = old or due
        return waiting[0].id if waiting and now >= free_at else None


ENTRIES = st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 5), st.booleans()), max_size=12).map(
    lambda rows: [entry(n + 1, attempts=a, due=NOW + d, new=w and not a) for n, (a, d, w) in enumerate(rows)]
)

SEEDS = st.integers(0, 2**32)


@given(ENTRIES, st.booleans(), st.sampled_from([0.0, NOW + 0.1, NOW + 3]), st.permutations(range(12)), SEEDS)
def test_every_turn_is_what_the_rules_say(
    entries: Sequence[Entry], dead: bool, free_at: float, order: Sequence[int], seed: int
) -> None:
    dice = random.Random(seed)
    shuffled = [entries[index] for index in order if index < len(entries)]
    deliveries, naive = made(*shuffled), Naive(list(entries))
    for now in (NOW, NOW + 0.2, NOW + 10):
        while True:
            only_new = dice.random() < 0.3
            expected = naive.next(now, dead, free_at, only_new)
            found = deliveries.next(now, dead=dead, free_at=free_at, read_to=NEVER, only_new=only_new)
            assert (found and found.id) == expected
            if found is None:
                if only_new:
                    continue
                break
            naive.entries.remove(found)
    assert not naive.entries
