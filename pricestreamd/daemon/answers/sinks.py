"""How the running sinks are, for those who ask over the API; and one of them tried out."""

from __future__ import annotations

import asyncio
import logging
import shlex
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from pricestreamd.daemon.outlets import Outlet, Outlets, SinkSums
from pricestreamd.http.delivery_control import SinkReport, SinkState, SinkTest
from pricestreamd.http.problem import RefusalError
from pricestreamd.model.errors import SinkError, StateError
from pricestreamd.model.events import CustomEvent, Run
from pricestreamd.sinks.base import Sink
from pricestreamd.sinks.delivery.standing import Standing
from pricestreamd.sinks.settings import CallSinkSettings
from pricestreamd.sinks.trial import TEST_EVENT, Trial, trial_of, try_out
from pricestreamd.state.reasons import kept_error
from pricestreamd.state.rows import Backlog
from pricestreamd.state.store import StateStore

if TYPE_CHECKING:
    from pricestreamd.sinks.settings import AnySinkSettings

# Whoever asked is still there then. Most sinks give up an attempt by themselves within 15 s.
TEST_SECONDS = 25.0

_NOTHING = Backlog(0, 0, None)

_log = logging.getLogger(__name__)


class ApiSinks:
    """The sinks of `outlets`; `store` has what they owe, and `run` gives test events their numbers."""

    def __init__(self, outlets: Outlets, store: StateStore, run: Run, *, seconds: float = TEST_SECONDS) -> None:
        self._outlets = outlets
        self._store = store
        self._run = run
        self._seconds = seconds
        self._under_way: set[str] = set()

    async def reports(self) -> list[SinkReport]:
        """See `DeliveryControl.sinks`."""
        backlogs: Mapping[str, Backlog] | None
        try:
            backlogs = await self._store.backlogs()
        except StateError:
            backlogs = None
        found = [
            _report(name, outlet, None if backlogs is None else backlogs.get(name, _NOTHING))
            for name, outlet in self._outlets.all().items()
        ]
        left = self._outlets.left_spools.waiting
        waits = {name: log for name, log in (backlogs or {}).items() if name not in self._outlets.workers}
        return [*found, *(_unclaimed(name, waits.get(name, _NOTHING), left.get(name, 0)) for name in {**waits, **left})]

    async def test(self, name: str, *, call: bool) -> SinkTest:
        """See `DeliveryControl.test_sink`."""
        outlet = self._outlets.all().get(name)
        if outlet is None:
            raise RefusalError(404, "There is no sink of that name. GET /api/v1/sinks lists them.")
        if name in self._under_way:
            raise RefusalError(409, "That sink is being tried out already: wait for the answer.")
        self._under_way.add(name)
        try:
            return await self._test(name, outlet, call=call)
        finally:
            self._under_way.discard(name)

    async def _test(self, name: str, outlet: Outlet, *, call: bool) -> SinkTest:
        worker = outlet.worker
        trial = trial_of(worker.sink, _type(outlet), call=call)
        data = {"sink": name, "reason": "somebody asked for it: no price, no alert, nothing to be done"}
        event = CustomEvent.of(self._run, TEST_EVENT, data, time.time)
        began = time.monotonic()
        error = await self._tried(outlet, trial, event)
        if error is None and trial != "opened":
            # What has just been seen to work is worth an attempt now.
            worker.try_now()
        seconds = time.monotonic() - began
        _log.info("sink %s: tried out (%s): %s", name, trial, error or "it works")
        return {
            "sink": name,
            "ok": error is None,
            "trial": trial,
            "event_id": event.id if trial == "event" else None,
            "seconds": round(seconds, 3),
            "error": error,
            "sentences": _sentences(outlet, trial, event.id, error, seconds),
        }

    async def _tried(self, outlet: Outlet, trial: Trial, event: CustomEvent) -> str | None:
        """What went wrong; None: nothing."""
        begun = False

        async def attempt(sink: Sink) -> None:
            nonlocal begun
            begun = True
            await try_out(sink, trial, event)

        try:
            async with asyncio.timeout(self._seconds):
                await outlet.worker.door.try_out(attempt)
        except TimeoutError:
            if not begun:
                return f"its turn did not come within {self._seconds:g} s: a delivery is under way and does not end"
            return f"no answer within {self._seconds:g} s"
        except SinkError as exc:
            return kept_error(str(exc) or type(exc).__name__)
        except Exception as exc:  # noqa: BLE001 - a sink's delivery: whatever it raises, it does not work
            return kept_error(f"{type(exc).__name__}: {exc}")
        return None


def _report(name: str, outlet: Outlet, backlog: Backlog | None) -> SinkReport:
    sums, standing = SinkSums(outlet.worker, outlet.lane), outlet.worker.door.standing
    state, why, since = _state(outlet)
    if backlog is not None and outlet.lane is not None:
        backlog = outlet.lane.owed(backlog)
    return {
        "sink": name,
        "type": _type(outlet),
        "state": state,
        "why": why,
        "since": since,
        "received": sums.received,
        "queued": sums.queued,
        "owed": None if backlog is None else backlog.pending,
        "given_up": None if backlog is None else backlog.dead,
        "oldest_owed_at": None if backlog is None else backlog.oldest_at,
        "delivered": sums.delivered,
        "dropped": {reason: count for reason, count in sums.dropped.items() if count},
        "retries": sums.retries,
        "last_success": standing.last_success,
        "last_error": standing.last_error,
        "last_error_at": standing.last_error_at,
    }


def _type(outlet: Outlet) -> str:
    # A worker knows of its settings only what all sinks have.
    return cast("AnySinkSettings", outlet.worker.settings).type


def _state(outlet: Outlet) -> tuple[SinkState, str | None, float | None]:
    """The state, why, and since when."""
    door, spool_failure = outlet.worker.door, outlet.worker.spool_failure
    standing = door.standing
    if door.gone is not None:
        return "stopped", kept_error(str(door.gone)), standing.failing_since
    if door.breaker.open:
        return "breaker_open", _why(standing), standing.failing_since
    if standing.failing_since is not None:
        return "failing", _why(standing), standing.failing_since
    if (seconds := standing.hanging) is not None:
        return "failing", _why(standing), time.time() - seconds
    if spool_failure is not None:
        return "failing", kept_error(spool_failure), None
    return "delivering", None, None


def _why(standing: Standing) -> str | None:
    if (seconds := standing.hanging) is not None:
        return f"an attempt has been under way for {seconds:.0f} s"
    return standing.last_error


def _unclaimed(name: str, backlog: Backlog, spooled: int) -> SinkReport:
    drop = f"pricestreamd outbox drop --sink {shlex.quote(name)}"
    return {
        "sink": name,
        "type": None,
        "state": "unclaimed",
        "why": f"no {'durable ' if spooled else ''}sink of this name is configured; {drop} drops what waits",
        "since": backlog.oldest_at,
        "received": spooled,
        "queued": spooled,
        "owed": backlog.pending,
        "given_up": backlog.dead,
        "oldest_owed_at": backlog.oldest_at,
        "delivered": 0,
        "dropped": {},
        "retries": 0,
        "last_success": None,
        "last_error": None,
        "last_error_at": None,
    }


def _sentences(outlet: Outlet, trial: Trial, event_id: str, error: str | None, seconds: float) -> list[str]:
    worker = outlet.worker
    door, settings, retry = worker.door, worker.settings, f"pricestreamd outbox retry --sink {shlex.quote(worker.name)}"
    if error is not None:
        first = f"It does not work: {error}."
    elif trial == "event":
        first = f"It works: it took the event {TEST_EVENT} with the id {event_id} in {seconds:.2f} s."
    elif trial == "asked":
        first = "It works: its destination answers and would take prices. Nothing was written: it takes nothing else."
    elif isinstance(settings, CallSinkSettings):
        first = f"Its function {settings.call} is there. It was not called: it may act, whatever the event is."
    else:
        first = "It could be opened. Nothing was sent: it takes prices only."
    lines = [first]
    if door.gone is not None:
        lines.append(f"It is stopped, and stays so: its destination wanted nothing more. {retry} starts it again.")
    elif error is None and door.failing:
        last = door.standing.last_error
        why = "" if last is None else f", at last with: {last.rstrip('.')}"
        waiting = worker.queued if trial != "opened" else 0
        who = f"What waits in its queue ({waiting}) is tried now; alerts" if waiting else "They"
        lines.append(
            f"Deliveries have failed before{why}. {who} are made again by their schedule; {retry} does it now."
        )
    return lines
