"""Which symbol is on which connection: symbols stay where they are, and the rest fill up what has room, in order.

A place, once given, is kept as long as its slot is there: every move costs a subscription and some prices. Symbols
that the provider has refused keep their slot and take no room in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True)
class Room:
    """What there is to place symbols on: the numbers of the `slots` that may be used, of `symbols` each.

    `slots_at_most` counts these and new ones together. None: no limit.
    """

    slots: tuple[int, ...] = (0,)
    symbols: int | None = None
    slots_at_most: int | None = None


def place(wanted: Iterable[str], placed: Mapping[str, int], refused: Collection[str], room: Room) -> dict[str, int]:
    """The slot of each symbol in `wanted` (keys, those first that matter first); who is not there has no place.

    `placed`: where they were before.
    """
    wanted = list(wanted)
    slots = set(room.slots)
    load: Counter[int] = Counter()
    found: dict[str, int] = {}

    def fits(key: str, slot: int) -> bool:
        return key in refused or room.symbols is None or load[slot] < room.symbols

    def put(key: str, slot: int) -> None:
        found[key] = slot
        load[slot] += key not in refused

    for key in wanted:
        slot = placed.get(key)
        if slot is not None and slot in slots and fits(key, slot):
            put(key, slot)
    supply = _slots(room)
    current = next(supply, None)
    for key in wanted:
        if key in found:
            continue
        while current is not None and not fits(key, current):
            current = next(supply, None)
        if current is None:
            break
        put(key, current)
    return {key: found[key] for key in wanted if key in found}


def _slots(room: Room) -> Iterator[int]:
    """The slots in use, then new ones with the lowest free numbers."""
    yield from room.slots
    used = set(room.slots)
    new = (number for number in count() if number not in used)
    more = None if room.slots_at_most is None else room.slots_at_most - len(used)
    for index, number in enumerate(new):
        if more is not None and index >= more:
            return
        yield number
