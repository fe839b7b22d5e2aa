"""The room for connections: never more than fit, and who has asked nothing for longest goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pricestreamd.http.room import Room


class Somebody:
    """A connection that only remembers whether it was cut."""

    def __init__(self) -> None:
        self.was_cut = False

    def cut(self) -> None:
        self.was_cut = True


def entered(room: Room, count: int) -> list[Somebody]:
    made = [Somebody() for _ in range(count)]
    assert all(room.enter(one) for one in made)
    return made


def test_who_has_been_idle_for_longest_makes_room() -> None:
    room = Room(3)
    first, second, third = entered(room, 3)
    # It asks, is answered, and is the last to have said something.
    room.busy(first)
    room.idle(first)
    entered(room, 1)
    assert (first.was_cut, second.was_cut, third.was_cut) == (False, True, False)
    assert len(room) == 3


def test_who_is_being_answered_stays_and_where_all_are_nobody_comes_in() -> None:
    room = Room(2)
    guests = entered(room, 2)
    for guest in guests:
        room.busy(guest)
    assert not room.enter(Somebody())
    assert not any(guest.was_cut for guest in guests)
    room.leave(guests[0])
    assert room.enter(Somebody())


def test_who_was_cut_or_has_left_counts_no_more_whatever_it_still_does() -> None:
    room = Room(1)
    [gone] = entered(room, 1)
    entered(room, 1)
    assert gone.was_cut
    for act in (room.busy, room.idle, room.leave, room.leave):
        act(gone)
        assert len(room) == 1


@given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from(["enter", "busy", "idle", "leave"]), st.integers(0, 9))))
def test_it_never_holds_more_than_fit_and_refuses_only_when_all_are_busy(
    most: int, acts: list[tuple[str, int]]
) -> None:
    room = Room(most)
    inside: dict[int, Somebody] = {}
    busy: set[int] = set()
    for act, number in acts:
        if act == "enter" and number not in inside:
            one = Somebody()
            full = len(busy) == most
            assert room.enter(one) is not full
            if not full:
                inside[number] = one
        elif number in inside and act != "enter":
            getattr(room, act)(inside[number])
            if act == "busy":
                busy.add(number)
            else:
                busy.discard(number)
            if act == "leave":
                del inside[number]
        inside = {known: one for known, one in inside.items() if not one.was_cut}
        assert busy <= inside.keys()
        assert len(room) == len(inside) <= most
