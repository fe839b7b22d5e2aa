"""In which state a sink is, as the API tells it."""

import time

import pytest

from pricestreamd.daemon.answers.sinks import _state
from pricestreamd.daemon.outlets import Outlet
from pricestreamd.sinks.delivery.standing import Standing
from pricestreamd.sinks.delivery.worker import SinkWorker
from pricestreamd.sinks.settings import LogSinkSettings
from tests.unit.sinks.samples import MemorySink, failed


async def test_an_attempt_that_hangs_is_a_state_of_its_sink_with_why_and_since_when() -> None:
    worker = SinkWorker(MemorySink(), LogSinkSettings())
    now = 0.0
    standing = worker.door.standing = Standing(clock=lambda: now)
    outlet = Outlet(worker, None)
    with standing.opening():
        assert _state(outlet) == ("delivering", None, None)
        now = 75.0
        state, why, since = _state(outlet)
        assert (state, why) == ("failing", "an attempt has been under way for 75 s")
        assert since is not None
        assert since < time.time() - 70
    assert _state(outlet) == ("delivering", None, None)
    with pytest.raises(type(failed())), standing.delivering():
        raise failed("away")
    assert _state(outlet)[:2] == ("failing", "away")
    with standing.delivering():
        now = 200.0
        assert _state(outlet)[:2] == ("failing", "an attempt has been under way for 125 s")
