"""The bounded queue: what waits, what gives way, and that every event is counted exactly once."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pricestreamd.model.events import Event
from pricestreamd.sinks.delivery.queue import BoundedQueue, ConflatingQueue, Policy, make_queue
from tests.unit.sinks.samples import alert, connected, custom, error, update, updates

POLICIES: list[Policy] = ["drop_oldest", "drop_newest", "conflate"]


def numbers(events: list[Event]) -> list[int]:
    return [event.number for event in events]


def filled(policy: Policy, size: int, events: list[Event]) -> BoundedQueue:
    queue = make_queue(policy, size)
    for event in events:
        queue.put(event)
    return queue


def counts_hold(queue: BoundedQueue) -> bool:
    return queue.received == queue.delivered + sum(queue.dropped.values()) + queue.queued


@pytest.mark.parametrize(
    ("policy", "left"), [("drop_oldest", [3, 4, 5]), ("drop_newest", [1, 2, 3]), ("conflate", [3, 4, 5])]
)
def test_a_full_queue_drops_by_its_policy(policy: Policy, left: list[int]) -> None:
    queue = filled(policy, 3, updates(5, symbols=5))
    assert queue.dropped["overflow"] == 2
    assert numbers(queue.take(10)) == left


@pytest.mark.parametrize("policy", POLICIES)
def test_an_alert_and_an_error_never_give_way_to_other_events(policy: Policy) -> None:
    queue = filled(policy, 4, [alert(1), error(2), *updates(20, first=3, symbols=20)])
    taken = queue.take(10)
    assert numbers(taken)[:2] == [1, 2]
    assert len(taken) == 4
    assert queue.dropped["overflow"] == 18


@pytest.mark.parametrize("policy", POLICIES)
def test_a_late_alert_finds_room_in_a_full_queue(policy: Policy) -> None:
    queue = filled(policy, 3, [*updates(3, symbols=3), alert(4)])
    assert numbers(queue.take(10)) == [2, 3, 4]


@pytest.mark.parametrize(("policy", "left"), [("drop_oldest", [3, 4]), ("drop_newest", [1, 2]), ("conflate", [3, 4])])
def test_among_alerts_alone_the_policy_decides(policy: Policy, left: list[int]) -> None:
    assert numbers(filled(policy, 2, [alert(n) for n in range(1, 5)]).take(10)) == left


def test_conflation_keeps_the_newest_price_of_each_symbol_in_the_order_of_their_making() -> None:
    queue = filled("conflate", 10, [update(n, s) for n, s in enumerate(["A", "B", "A", "C", "B", "A"], 1)])
    assert numbers(queue.take(10)) == [4, 5, 6]
    assert queue.dropped["conflated"] == 3
    assert queue.dropped["overflow"] == 0


def test_only_price_updates_are_conflated() -> None:
    events: list[Event] = [alert(1), alert(2), error(3), error(4), connected(), connected(), custom("price.update")]
    queue = filled("conflate", 10, events)
    assert queue.take(10) == events
    assert queue.dropped["conflated"] == 0


def test_a_flight_that_comes_back_never_replaces_a_newer_price() -> None:
    queue = filled("conflate", 10, [update(1, "A"), update(2, "B"), alert(3)])
    queue.take(10)
    queue.put(update(4, "A"))
    queue.give_back()
    assert numbers(queue.take(10)) == [2, 3, 4]
    assert queue.dropped["conflated"] == 1


def test_before_another_attempt_outdated_prices_leave_the_flight() -> None:
    queue = filled("conflate", 10, [update(1, "A"), update(2, "B"), alert(3)])
    queue.take(10)
    queue.put(update(4, "A"))
    assert numbers(queue.refresh()) == [2, 3]
    queue.settle()
    assert (queue.delivered, queue.dropped["conflated"], queue.queued) == (2, 1, 1)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_without_conflation_a_flight_is_never_outdated(policy: Policy) -> None:
    queue = filled(policy, 10, [update(1), update(2)])
    taken = queue.take(1)
    assert queue.refresh() == taken


def test_the_batch_in_flight_counts_as_queued() -> None:
    queue = filled("drop_oldest", 10, updates(5))
    queue.take(3)
    assert (queue.queued, queue.waiting, len(queue.flight)) == (5, 2, 3)
    queue.settle()
    assert (queue.queued, queue.delivered) == (2, 3)
    queue.take(3)
    assert queue.drop("refused") == 2
    assert (queue.queued, queue.dropped["refused"]) == (0, 2)


def test_the_bound_holds_for_what_waits_and_a_flight_that_comes_back_is_kept_until_the_next_event() -> None:
    queue = filled("drop_oldest", 4, updates(4))
    queue.take(4)
    for event in updates(4, first=5):
        queue.put(event)
    assert queue.dropped["overflow"] == 0
    queue.give_back()
    assert queue.waiting == 8
    queue.put(update(9))
    assert queue.waiting == 4
    assert numbers(queue.take(10)) == [6, 7, 8, 9]


def test_ready_is_called_once_when_enough_wait() -> None:
    called: list[int] = []
    queue = BoundedQueue(10, ready=lambda: called.append(queue.waiting))
    queue.put(update())
    assert called == []
    queue.arm(3)
    for _ in range(5):
        queue.put(update())
    assert called == [3]
    queue.arm(2)
    assert called == [3, 6]


@pytest.mark.parametrize("kind", [BoundedQueue, ConflatingQueue])
def test_an_overflow_is_told_once_until_it_is_acknowledged(kind: type[BoundedQueue]) -> None:
    told: list[int] = []
    queue = kind(2, overflowed=lambda: told.append(queue.dropped["overflow"]))
    for event in updates(6, symbols=10):
        queue.put(event)
    assert told == [1]
    queue.overflow_told()
    queue.put(update(9, "X"))
    assert told == [1, 5]


def test_one_flight_at_a_time() -> None:
    queue = filled("drop_oldest", 10, updates(5))
    queue.take(2)
    with pytest.raises(AssertionError):
        queue.take(2)


class QueueMachine(RuleBasedStateMachine):
    """The queue against a list that is searched through at every step."""

    @initialize(policy=st.sampled_from(POLICIES), size=st.integers(1, 5))
    def begin(self, policy: Policy, size: int) -> None:
        self.policy, self.size = policy, size
        self.queue = make_queue(policy, size)
        self.waiting: list[Event] = []
        self.flight: list[Event] = []
        self.received = self.delivered = self.conflated = self.overflow = self.given_up = 0

    @rule(kind=st.sampled_from(["update", "update", "update", "alert", "error", "connected"]), symbol=st.integers(0, 3))
    def put(self, kind: str, symbol: int) -> None:
        number = self.received + 1
        event: Event
        match kind:
            case "update":
                event = update(number, f"S{symbol}")
            case "alert":
                event = alert(number)
            case "error":
                event = error(number)
            case _:
                event = connected()
        self.queue.put(event)
        self.received += 1
        if self.policy == "conflate" and kind == "update":
            kept = [e for e in self.waiting if not (e.event == "price.update" and e["symbol"] == event["symbol"])]
            self.conflated += len(self.waiting) - len(kept)
            self.waiting = kept
        self.waiting.append(event)
        while len(self.waiting) > self.size:
            self.waiting.remove(self.gives_way())
            self.overflow += 1

    def gives_way(self) -> Event:
        ordinary = [event for event in self.waiting if event.event not in ("price.alert", "price.error")]
        if self.policy != "drop_newest":
            return (ordinary or self.waiting)[0]
        if not ordinary:
            return self.waiting[-1]
        return ordinary[-1] if ordinary[-1] is self.waiting[-1] else ordinary[0]

    @precondition(lambda self: not self.flight)
    @rule(most=st.integers(1, 7))
    def take(self, most: int) -> None:
        self.flight, self.waiting = self.waiting[:most], self.waiting[most:]
        assert self.queue.take(most) == self.flight

    @rule()
    def settle(self) -> None:
        self.queue.settle()
        self.delivered += len(self.flight)
        self.flight = []

    @rule()
    def drop(self) -> None:
        assert self.queue.drop("retries") == len(self.flight)
        self.given_up += len(self.flight)
        self.flight = []

    @rule()
    def refresh(self) -> None:
        self.forget_outdated()
        assert self.queue.refresh() == self.flight

    @rule()
    def give_back(self) -> None:
        self.queue.give_back()
        self.forget_outdated()
        self.waiting = self.flight + self.waiting
        self.flight = []

    def forget_outdated(self) -> None:
        if self.policy == "conflate":
            newer = {event["symbol"] for event in self.waiting if event.event == "price.update"}
            kept = [e for e in self.flight if not (e.event == "price.update" and e["symbol"] in newer)]
            self.conflated += len(self.flight) - len(kept)
            self.flight = kept

    @invariant()
    def every_event_is_in_exactly_one_place(self) -> None:
        assert counts_hold(self.queue)

    @invariant()
    def the_counters_are_those_of_the_model(self) -> None:
        queue = self.queue
        assert queue.received == self.received
        assert queue.delivered == self.delivered
        assert queue.dropped["overflow"] == self.overflow
        assert queue.dropped["conflated"] == self.conflated
        assert queue.dropped["retries"] == self.given_up
        assert queue.waiting == len(self.waiting)
        assert queue.flight == self.flight


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=150, stateful_step_count=50)
