"""What came of attempts on its way into the outbox, and what a page of it may still say meanwhile."""

import asyncio
from collections.abc import Sequence

from pricestreamd.model.errors import StateError
from pricestreamd.sinks.outbox.deliveries import Deliveries
from pricestreamd.sinks.outbox.outcomes import LONGEST_PAUSE_SECONDS, REMEMBERED, Outcomes, pause_after
from pricestreamd.sinks.outbox.reading import Reader
from pricestreamd.state.rows import Delivery, Outcome
from tests.support.waiting import eventually
from tests.unit.sinks.outbox_samples import delivery


class Book:
    """Writes outcomes, or refuses to."""

    def __init__(self) -> None:
        self.written: list[Outcome] = []
        self.failures: list[StateError] = []
        self.kept: list[str] = []
        self.refuses = False
        self.gate: asyncio.Event | None = None
        self.outcomes = Outcomes(self.write, failed=self.failures.append, kept=self.kept.append)

    async def write(self, outcomes: Sequence[Outcome]) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.refuses:
            raise StateError("full")
        self.written += outcomes


def retry(event_id: str, attempts: int = 1) -> Outcome:
    return Outcome(event_id, "hook", "retry", attempts, 5.0)


def delivered(event_id: str) -> Outcome:
    return Outcome(event_id, "hook", "delivered", 1, 5.0)


async def test_every_attempt_is_written_once_and_the_last_says_that_all_is_known() -> None:
    book = Book()
    for outcome in (retry("a", 1), retry("b", 1), retry("a", 2), retry("a", 2)):
        book.outcomes.add(outcome)
    assert await book.outcomes.write()
    assert book.written == [retry("a", 1), retry("b", 1), retry("a", 2)]
    assert sorted(book.kept) == ["a", "b"]
    assert await book.outcomes.write()
    assert len(book.written) == 3


async def test_what_comes_while_something_is_written_is_not_taken_for_known() -> None:
    book = Book()
    book.gate = asyncio.Event()
    book.outcomes.add(retry("a", 1))
    writing = asyncio.create_task(book.outcomes.write())
    await asyncio.sleep(0)
    book.outcomes.add(retry("a", 2))
    book.gate.set()
    assert await writing
    assert book.kept == []
    assert await book.outcomes.write()
    assert book.kept == ["a"]


async def test_what_could_not_be_written_and_what_was_broken_off_is_written_later() -> None:
    book = Book()
    book.refuses = True
    book.outcomes.add(retry("a"))
    assert not await book.outcomes.write()
    assert len(book.failures) == 1
    book.refuses, book.gate = False, asyncio.Event()
    writing = asyncio.create_task(book.outcomes.run())
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    book.gate = None
    writing = asyncio.create_task(book.outcomes.run())
    await eventually(lambda: book.written == [retry("a")])
    writing.cancel()
    await asyncio.wait([writing])


async def test_what_cannot_be_written_for_long_is_bounded_and_so_is_what_is_remembered() -> None:
    book = Book()
    book.refuses = True
    for number in range(REMEMBERED + 10):
        book.outcomes.add(delivered(f"e{number}"))
    assert len(book.outcomes) == REMEMBERED
    assert not book.outcomes.settled("e0")
    assert book.outcomes.settled("e10")
    assert len(book.outcomes._last) == REMEMBERED


def test_pauses_of_the_disk_grow_up_to_a_bound() -> None:
    assert [pause_after(failures) for failures in (1, 2, 3, 4, 5, 6, 5000)] == [
        1,
        2,
        4,
        8,
        16,
        *[LONGEST_PAUSE_SECONDS] * 2,
    ]


async def test_a_page_that_was_asked_for_before_something_was_settled_is_not_believed_about_it() -> None:
    taken: list[str] = []
    gate, asked = asyncio.Event(), asyncio.Event()

    async def read(_after: int, _limit: int) -> list[Delivery]:
        asked.set()
        await gate.wait()
        return [delivery("settled", 1), delivery("waits", 2)]

    def take(row: Delivery, _forward: bool) -> str:
        taken.append(row.event_id)
        return "taken"

    reader = Reader(
        read,
        take,  # type: ignore[arg-type]  # a text, not one of three words
        Deliveries(),
        failed=lambda _error: None,
        progress=lambda: None,
        clock=asyncio.get_running_loop().time,
    )
    reader.left("nobody reads yet")
    task = asyncio.create_task(reader.run())
    reader.begin()
    await asked.wait()
    reader.left("settled")
    gate.set()
    await eventually(lambda: taken)
    task.cancel()
    await asyncio.wait([task])
    assert taken == ["waits"]
