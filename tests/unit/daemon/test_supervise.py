"""No task dies unnoticed (row P5)."""

import asyncio

import pytest

from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.daemon.supervise import MAX_CRASHES, TaskDied, supervise
from pricestreamd.daemon.verdict import verdict
from pricestreamd.model.interface import ConnectionState


class Work:
    """Fails so many times, then returns."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.runs = 0

    async def __call__(self) -> None:
        self.runs += 1
        if self.runs <= self.failures:
            raise ZeroDivisionError(f"run {self.runs}")


async def test_work_that_returns_is_run_once() -> None:
    work = Work(0)
    await supervise("feed x", work, on_crash=lambda *_: pytest.fail("no crash"))
    assert work.runs == 1


async def test_work_that_fails_is_run_again_and_each_crash_is_told() -> None:
    work, crashes = Work(MAX_CRASHES), []
    await supervise("feed x", work, on_crash=lambda name, exc: crashes.append((name, str(exc))), initial_delay=0.001)
    assert work.runs == MAX_CRASHES + 1
    assert crashes == [("feed x", f"run {n}") for n in range(1, MAX_CRASHES + 1)]


async def test_work_that_goes_on_failing_ends_the_process_with_its_last_reason() -> None:
    work = Work(1000)
    with pytest.raises(TaskDied, match=r"feed x failed 6 times in five minutes.*run 6"):
        await supervise("feed x", work, on_crash=lambda *_: None, initial_delay=0.001)
    assert work.runs == MAX_CRASHES + 1


async def test_cancelling_the_supervisor_cancels_the_work_and_waits_for_it() -> None:
    steps = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cleaned up")

    task = asyncio.create_task(supervise("sink x", work, on_crash=lambda *_: None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["cleaned up"]


class Feed:
    def __init__(self, state: ConnectionState, was_live: bool = False) -> None:
        self.state = state
        self.was_live = was_live


@pytest.mark.parametrize(
    ("feeds", "expected"),
    [
        ([], None),
        ([Feed("backoff")], None),
        ([Feed("parked"), Feed("live", was_live=True)], None),
        ([Feed("parked"), Feed("connecting")], None),
        ([Feed("parked"), Feed("parked", was_live=True)], None),
        ([Feed("parked")], ExitCode.REFUSED),
        ([Feed("parked"), Feed("parked")], ExitCode.REFUSED),
    ],
)
def test_only_when_every_feed_is_refused_with_a_key_that_never_worked_the_process_ends(
    feeds: list[Feed], expected: ExitCode | None
) -> None:
    assert verdict(feeds) is expected
