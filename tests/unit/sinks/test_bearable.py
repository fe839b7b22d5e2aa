"""What the code of a sink raises never ends the daemon, and its text is bounded before anybody works on it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import pytest

from pricestreamd.model import secret
from pricestreamd.model.errors import SinkError
from pricestreamd.model.events import Event
from pricestreamd.sinks import catalogue, plugins
from pricestreamd.sinks.base import DestinationGone
from pricestreamd.sinks.bearable import MOST_TEXT, bearable, described
from pricestreamd.sinks.delivery.door import Door
from pricestreamd.sinks.settings import SinkSettings
from pricestreamd.state.reasons import kept_error
from tests.support.waiting import eventually
from tests.unit.sinks.samples import MemorySink, alert, updates

ENDINGS = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), BaseException("x")]


class Wordless(Exception):  # noqa: N818 - its name says what it is
    def __str__(self) -> str:
        raise ValueError("no words")


class Ending(MemorySink):
    """Raises `error` wherever it is met."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    async def open(self) -> None:
        raise self.error

    async def deliver(self, batch: Sequence[Event]) -> None:
        raise self.error

    async def close(self) -> None:
        raise self.error


@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: type(error).__name__)
async def test_what_would_end_the_process_is_a_failure_of_the_sink_wherever_it_is_met(error: BaseException) -> None:
    door = Door(sink := Ending(error))
    ways: list[Callable[[], Awaitable[object]]] = [
        lambda: door.open("worker"),
        lambda: door.deliver(updates(1)),
        lambda: door.deliver_durable("lane", alert()),
        lambda: door.try_out(lambda sink: sink.open()),
        lambda: door.close("worker"),
    ]
    for way in ways:
        with pytest.raises(SinkError, match=rf"of sink memory was broken off: {type(error).__name__}\(") as caught:
            await way()
        assert caught.value.transient
    assert door.standing.last_error is not None
    assert sink.batches == []


async def test_a_cancellation_of_who_delivers_and_the_end_of_its_coroutine_are_no_failures() -> None:
    door = Door(sink := MemorySink())
    sink.before = lambda _batch: asyncio.Event().wait()
    delivery = asyncio.create_task(door.deliver(updates(1)))
    await eventually(lambda: door.breaker.under_way)
    delivery.cancel()
    await asyncio.wait([delivery])
    assert delivery.cancelled()
    coroutine = door.deliver(updates(1))

    async def begun() -> None:
        assert coroutine.send(None) is not None

    await asyncio.create_task(begun())
    coroutine.close()
    assert door.standing.last_error is None


async def test_megabytes_of_an_error_are_cut_before_anybody_looks_at_them_and_it_stays_what_it_was() -> None:
    long = "y" * 5_000_000
    for error in (RuntimeError(long), ValueError(long), KeyError(long), OSError(long), Wordless()):
        with pytest.raises(Exception) as caught, bearable("memory"):  # noqa: PT011 - of any kind
            raise error
        assert not isinstance(caught.value, SinkError)
        assert 0 < len(str(caught.value)) <= MOST_TEXT + 100
    with pytest.raises(DestinationGone) as gone, bearable("memory"):
        raise DestinationGone(long)
    assert len(str(gone.value)) == MOST_TEXT
    refusal = SinkError(long, transient=False, retry_after=3.0)
    with pytest.raises(SinkError) as refused, bearable("memory"):
        raise refusal
    assert (refused.value.transient, refused.value.retry_after) == (False, 3.0)


async def test_an_ordinary_error_comes_out_as_it_is() -> None:
    error = ValueError("a bug", 7)
    with pytest.raises(ValueError, match="a bug") as caught, bearable("memory"):
        raise error
    assert caught.value is error
    assert error.args == ("a bug", 7)


@pytest.mark.parametrize("offset", [0, 1, 7, 20, 39, 40])
def test_no_half_of_a_secret_survives_where_a_long_text_is_cut(offset: int) -> None:
    before = list(secret._known)
    canary = "canary-" + "0123456789" * 4
    try:
        secret.register(canary)
        # However the secrets lie at the border: also where masks have made the text short.
        text = "x" * offset + canary * 200_000
        for cut in (kept_error(text), described(ValueError(text)), described(ValueError(text), 300)):
            assert cut
            assert "canary" not in cut
            assert "0123" not in cut
    finally:
        secret._known[:] = before


def test_a_long_text_costs_no_more_than_its_beginning() -> None:
    text = "key=value " * 2_000_000
    began = time.process_time()
    for _ in range(50):
        kept_error(text)
    assert time.process_time() - began < 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OddSettings(SinkSettings):
    type: Literal["odd"] = "odd"


@pytest.mark.parametrize(
    "error", [*ENDINGS, Wordless(), KeyError("k"), ValueError("v" * 5_000_000)], ids=lambda error: type(error).__name__
)
async def test_a_plugin_whose_sink_cannot_be_made_is_a_fault_of_the_configuration(error: BaseException) -> None:
    def made(_name: str, _settings: object) -> MemorySink:
        raise error

    plugins._plugins["odd"] = (made, OddSettings)
    try:
        with pytest.raises(SinkError) as caught:
            catalogue.create("x", OddSettings())  # type: ignore[arg-type]  # of a plugin
    finally:
        del plugins._plugins["odd"]
    assert len(str(caught.value)) < MOST_TEXT + 200
