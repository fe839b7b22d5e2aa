"""The life of the daemon: open, serve, drain. Each phase is one function, in the order in which it happens.

open    sinks and the HTTP port; then READY: a provider that does not answer is no reason not to be up
serve   feeds, sink workers, statistics, watchdog: supervised tasks, until a signal or a verdict
drain   no new questions, unsubscribe and close, let queues run empty until the deadline, count what is left
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from pricestreamd.config.load import Loaded
from pricestreamd.daemon.ending import BoundedLoop
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.daemon.parts import Parts, build
from pricestreamd.daemon.pulse import Pulse
from pricestreamd.daemon.reload import Reloader
from pricestreamd.daemon.sdnotify import ServiceManager
from pricestreamd.daemon.sight import Sight
from pricestreamd.daemon.signals import handled
from pricestreamd.daemon.supervise import TaskDied, supervise
from pricestreamd.daemon.verdict import verdict
from pricestreamd.daemon.view import Answers, Gauges
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.http.app import HttpServer
from pricestreamd.http.write_token import token_path
from pricestreamd.model.errors import ConfigError, FeedError, Problem
from pricestreamd.model.events import PriceError
from pricestreamd.model.secret import redact
from pricestreamd.sinks.log import LogSink
from pricestreamd.sinks.outbox import OutboxLane
from pricestreamd.state.store import ForeignStateError, StateLocked
from pricestreamd.state.thread import SWITCH_SECONDS
from pricestreamd.telemetry.logs import LogControl, setup_logging
from pricestreamd.telemetry.loop_lag import LoopLag
from pricestreamd.telemetry.loop_watch import LoopWatch

_log = logging.getLogger(__name__)

# How often the feeds are looked at for a verdict.
VERDICT_SECONDS = 0.25
# What the end may take beyond `shutdown_timeout`, and when it was asked for twice.
SPARE_SECONDS = 3.0
HURRY_SECONDS = 2.0
# Of those who do not end, so many are named.
MOST_NAMED = 5


class Daemon:
    """One daemon, from built parts to an exit code. `on_ready` gets the page's address when it serves."""

    def __init__(self, parts: Parts, logs: LogControl, *, on_ready: Callable[[str], object] | None = None) -> None:
        self._on_ready = on_ready
        self.parts = parts
        self.logs = logs
        self.manager = ServiceManager()
        self.loop_lag = LoopLag()
        self.reloader = Reloader(parts, self.manager, logs)
        gauges = Gauges(parts, self.reloader.outcome, self.loop_lag)
        self.http = HttpServer(
            Answers(parts, gauges),
            parts.settings.http,
            control=parts.control,
            token_file=token_path(os.environ, parts.settings.state.path),
        )
        self.pulse = Pulse(gauges, self.manager, logs, parts.settings.logging.stats_interval)
        self._ending = asyncio.Event()
        self._hurry = asyncio.Event()
        self._code = ExitCode.OK

    @property
    def address(self) -> str:
        """Where it answers, once it serves: the page's URL, or the unix socket."""
        return self.http.url or self.http.address

    def _toggle_debug(self) -> None:
        _log.info("debug log %s", "on" if self.logs.toggle_debug() else "off", extra={"action": "debug"})

    def stop(self, reason: str, code: ExitCode = ExitCode.OK) -> None:
        """End the run; asked a second time, end it now."""
        if self._ending.is_set():
            _log.warning("%s again: stopping now", reason)
            self._hurry.set()
            return
        _log.info("%s: stopping", reason, extra={"action": "stopping"})
        self._code = code
        self._ending.set()

    async def run(self) -> ExitCode:
        """Live until a signal or a verdict; returns how it ended.

        Raises:
            ConfigError: the state is that of a newer version, or of another program.
            StateLocked: another daemon has the state.
            OSError: the HTTP port was refused by the system.
        """
        with handled(stop=self.stop, reload=self.reloader.ask, toggle_debug=self._toggle_debug), LoopWatch():
            try:
                await self._open()
                await self._serve()
                await self._drain()
            finally:
                await self.parts.journal.store.close()
        _log.info("stopped: %s", self._code.name.lower(), extra={"action": "stopped", "exit_code": int(self._code)})
        return self._code

    async def overdue(self) -> ExitCode:
        """Return when the end has begun and takes longer than it may: the code to end with all the same."""
        await self._ending.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.parts.settings.shutdown_timeout + SPARE_SECONDS):
                await self._hurry.wait()
                await asyncio.sleep(HURRY_SECONDS)
        _log.critical("the end takes too long: it is broken off", extra={"action": "stopped"})
        return self._code if self._code is not ExitCode.OK else ExitCode.UNDELIVERED

    async def _open(self) -> None:
        try:
            await self.parts.journal.open()
        except ForeignStateError as exc:
            raise ConfigError(Problem(str(self.parts.path), 0, 0, "state.path", str(exc))) from exc
        await self.parts.watchlists.restore()
        await self.http.start()
        self.parts.service.begin(self.parts.feeds.get_subscriptions())
        # What lives as long as the daemon need not be looked at by each collection.
        gc.collect()
        gc.freeze()
        self.manager.ready(f"serving on {self.address}")
        _log.info("ready: page and API on %s", self.address, extra={"action": "ready"})
        if self._on_ready is not None:
            self._on_ready(self.address)

    async def _serve(self) -> None:
        parts = self.parts
        works: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            f"feed {name}": functools.partial(self._feed, client) for name, client in parts.feeds.clients.items()
        }
        works |= {f"sink {name}": worker.run for name, worker in parts.outlets.workers.items()}
        works |= {f"outbox {name}": lane.run for name, lane in parts.outlets.lanes.items()}
        works |= {f"watchlist {name}": reader.run for name, reader in parts.watchlists.readers.items()}
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(supervise(name, work, on_crash=self._crashed)) for name, work in works.items()
                ]
                tasks += [group.create_task(work) for work in self._own_tasks()]
                await self._ending.wait()
                self.manager.stopping("stopping: closing connections")
                await self._hurried(parts.service.stop())
                for task in tasks:
                    task.cancel()
        except* TaskDied as died:
            self._code = ExitCode.INTERNAL
            _log.critical("giving up: %s", redact(str(died.exceptions[0])))

    async def _feed(self, client: WebSocketClient) -> None:
        """Run a feed; one that gives up (its attempts are exhausted) is told of, and begun again after a while."""
        errors = self.parts.settings.errors
        while not self._ending.is_set():
            try:
                await client.run()
            except FeedError as exc:
                message = redact(f"feed {client.name} gave up: {exc}; it begins again in {errors.cooldown:g} s")
                self.parts.dispatcher.error("feed_failed", message, severity="critical", feed=client.name)
                await asyncio.sleep(errors.cooldown)

    def _own_tasks(self) -> list[Coroutine[Any, Any, None]]:
        """The daemon's own: one that dies ends the process."""
        pulse = self.pulse
        return [
            self.loop_lag.run(),
            pulse.statistics(),
            pulse.status(),
            pulse.watchdog(),
            self.reloader.run(),
            self.parts.feeds.backups(),
            self.parts.journal.run(),
            self.parts.journal.watch_outbox(),
            Sight(self.parts.feeds, self.parts.service).run(),
            self._judge(),
        ]

    async def _drain(self) -> None:
        deadline = time.monotonic() + self.parts.settings.shutdown_timeout
        self.manager.stopping("stopping: flushing sinks")
        await self._hurried(self.http.stop(1.0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((deadline - time.monotonic()) / 2):
                await self._hurried(self.parts.journal.close())
        left = max(0.1, deadline - time.monotonic())
        # Side by side: a listener that takes its time takes none from a sink.
        waiting = {"coroutine listeners": self._hurried(self.parts.dispatcher.aclose(left), otherwise=1)}
        for name, lane in self.parts.outlets.lanes.items():
            waiting[f"alerts to sink {name}"] = self._drain_lane(name, lane, left)
        for name, worker in self.parts.outlets.workers.items():
            waiting[f"sink {name}"] = self._hurried(worker.drain(left), otherwise=worker.queued)
        lost = await asyncio.gather(*waiting.values())
        for name, count in zip(waiting, lost, strict=True):
            if count:
                _log.error("%s: %d events were not delivered before the deadline", name, count)
        if any(lost) and self._code is ExitCode.OK:
            self._code = ExitCode.UNDELIVERED

    async def _drain_lane(self, name: str, lane: OutboxLane, timeout: float) -> int:
        """How many alerts are lost: what is not delivered in time is safe in the outbox, if that can be written."""
        left = await self._hurried(lane.drain(timeout), otherwise=lane.queued)
        if not left or self.parts.journal.failure is not None:
            return left
        _log.info("sink %s: %d alerts stay in the outbox for the next start", name, left)
        return 0

    async def _hurried(self, work: Awaitable[int | None], otherwise: int = 0) -> int:
        """Wait for `work`, but no longer than until somebody asks a second time; then the answer is `otherwise`."""
        task = asyncio.ensure_future(work)
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait({task, hurry}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result() or 0
            return otherwise
        finally:
            for waiting in (task, hurry):
                waiting.cancel()
            await asyncio.wait({task, hurry})

    async def _judge(self) -> None:
        while True:
            await asyncio.sleep(VERDICT_SECONDS)
            code = verdict(self.parts.feeds.clients.values())
            if code is not None:
                self.stop("every feed was refused by its provider", code)
                return

    def _crashed(self, name: str, crash: BaseException) -> None:
        self.parts.dispatcher.error("task_failed", f"{name}: {redact(repr(crash))}", severity="critical")


def run_daemon(loaded: Loaded) -> ExitCode:
    """Run the daemon that `loaded` describes, in a loop of its own; returns how it ended.

    Raises:
        ConfigError: what only shows when the parts are put together.
        StateLocked: another daemon has the state.
        OSError: the system refused something at the start.
    """
    # A saturated loop pauses so often that other threads (the log's, a sink's) would never run at the usual 5 ms.
    sys.setswitchinterval(SWITCH_SECONDS)
    loop = BoundedLoop()
    logs = setup_logging(loaded.settings.logging, stream=sys.stderr, environ=os.environ)
    try:
        code = loop.run(serve(loaded, logs))
    except (ConfigError, StateLocked, OSError):
        raise
    except Exception:  # noqa: BLE001 - the top of the run: a bug must end with its own exit code
        _log.critical("internal error", exc_info=True)
        code = ExitCode.INTERNAL
    finally:
        if left := loop.close():
            more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
            _log.warning("does not end, so it is broken off: %s%s", redact(", ".join(left[:MOST_NAMED])), more)
        logs.close()
    if left:
        # The interpreter would wait for it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    loop.exit_soon(code)
    return code


async def serve(loaded: Loaded, logs: LogControl, *, on_ready: Callable[[str], object] | None = None) -> ExitCode:
    """Run the daemon that `loaded` describes in this loop; `on_ready(address)` is called when it serves.

    Raises as `run_daemon` does.
    """
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    parts = build(loaded)
    if any(
        isinstance(worker.sink, LogSink) and worker.takes_all(PriceError.event)
        for worker in parts.outlets.workers.values()
    ):
        # What the log sink will write is not written by who noticed it, too.
        logs.leave_to_sink(PriceError.event)
    daemon = Daemon(parts, logs, on_ready=on_ready)
    life, overdue = asyncio.create_task(daemon.run(), name="daemon"), asyncio.create_task(daemon.overdue())
    try:
        await asyncio.wait({life, overdue}, return_when=asyncio.FIRST_COMPLETED)
        return life.result() if life.done() else overdue.result()
    except asyncio.CancelledError:
        life.cancel()
        await asyncio.wait({life})
        raise
    finally:
        overdue.cancel()
