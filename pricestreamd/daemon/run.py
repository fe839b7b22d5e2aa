"""The life of the daemon: open, serve, drain. Each phase is one function, in the order in which it happens.

open    the state and the HTTP port; then READY: a provider that does not answer is no reason not to be up
serve   feeds, sink workers, statistics, watchdog: supervised tasks, until a signal or a verdict
drain   no new questions, unsubscribe and close, let queues run empty until the deadline, count what is left
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

from pricestreamd.config.load import Loaded
from pricestreamd.daemon.alive.deadman import Deadman
from pricestreamd.daemon.alive.health import Health
from pricestreamd.daemon.alive.pulse import Pulse
from pricestreamd.daemon.alive.sdnotify import ServiceManager
from pricestreamd.daemon.alive.vitals import Turns, Vitals
from pricestreamd.daemon.alive.watchdog import LoopGuard, Watchdog, guard_seconds, leave_stacks
from pricestreamd.daemon.answers.view import Answers, Gauges
from pricestreamd.daemon.blindness import Blindness
from pricestreamd.daemon.drain import Drain
from pricestreamd.daemon.ending import BoundedLoop
from pricestreamd.daemon.exit_code import ExitCode
from pricestreamd.daemon.feed_keeper import FeedKeeper
from pricestreamd.daemon.parts import Parts, build
from pricestreamd.daemon.reload import Reloader
from pricestreamd.daemon.running import Running
from pricestreamd.daemon.signals import handled
from pricestreamd.daemon.supervise import TaskDied, lasting
from pricestreamd.daemon.verdict import verdict
from pricestreamd.daemon.works import Work, Works
from pricestreamd.feeds.client import WebSocketClient
from pricestreamd.http.app import HttpServer
from pricestreamd.http.write_token import token_path
from pricestreamd.model.errors import ConfigError, Problem
from pricestreamd.model.events import PriceError
from pricestreamd.model.secret import redact
from pricestreamd.state.store import ForeignStateError, StateLocked
from pricestreamd.state.thread import SWITCH_SECONDS
from pricestreamd.telemetry.log_writer import occupy_standard_descriptors
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
        self._works = Works(self._crashed)
        self._running = Running(self._works, self._keeper, lost=self._lost)
        self.reloader = Reloader(parts, self.manager, self._running, applied=self._settled)
        self._health = Health(parts.feeds, parts.service)
        self._deadman = Deadman(lambda: parts.settings.deadman, lambda: self._health.fault)
        gauges = Gauges(
            parts, self.reloader.outcome, self.loop_lag, health=self._health, deadman=self._deadman, logs=logs
        )
        self.http = HttpServer(
            Answers(parts, gauges),
            parts.settings.http,
            control=parts.control,
            token_file=token_path(os.environ, parts.settings.state.path),
        )
        self.pulse = Pulse(gauges, self.manager, logs, parts.settings.logging.stats_interval)
        self.vitals = Vitals(parts.feeds.clients)
        self.guard = LoopGuard(guard_seconds(os.environ, watched=self.manager.watchdog_seconds is not None))
        self.watchdog = Watchdog(self.manager, self.guard, self.vitals)
        self._drain = Drain(parts, self.http, self.manager)
        self._ending = asyncio.Event()
        self._code = ExitCode.OK
        self._settle_log()

    @property
    def address(self) -> str:
        """Where it answers, once it serves: the page's URL, or the unix socket."""
        return self.http.url or self.http.address

    async def _settled(self) -> None:
        """Other settings are in force."""
        self._settle_log()
        await self.http.apply(self.parts.settings.http)

    def _settle_log(self) -> None:
        self.logs.set_level(self.parts.settings.logging.level)
        # What a sink writes to the log is not written by who noticed it, too.
        self.logs.leave_to_sink(*[PriceError.event] if self.parts.outlets.log_takes(PriceError.event) else [])

    def _toggle_debug(self) -> None:
        _log.info("debug log %s", "on" if self.logs.toggle_debug() else "off", extra={"action": "debug"})

    def stop(self, reason: str, code: ExitCode = ExitCode.OK) -> None:
        """End the run; asked a second time, end it now."""
        if self._ending.is_set():
            _log.warning("%s again: stopping now", reason)
            self._drain.hurry.set()
            return
        _log.info("%s: stopping", reason, extra={"action": "stopping"})
        self._code = code
        self._drain.begin()
        self._ending.set()

    async def run(self) -> ExitCode:
        """Live until a signal or a verdict; returns how it ended.

        Raises:
            ConfigError: the state is that of a newer version, or of another program.
            StateLocked: another daemon has the state.
            OSError: the HTTP port was refused by the system.
        """
        with (
            handled(stop=self.stop, reload=self.parts.reloads.ask, toggle_debug=self._toggle_debug),
            LoopWatch(),
            self.guard,
        ):
            watchdog = asyncio.create_task(self.watchdog.run(), name="watchdog")
            try:
                await self._open()
                await self._live()
                lost = await self._drain.deliver() + self._running.undelivered
                if lost and self._code is ExitCode.OK:
                    self._code = ExitCode.UNDELIVERED
            finally:
                watchdog.cancel()
                await self.parts.journal.store.close()
        self.manager.stopped()
        _log.info("stopped: %s", self._code.name.lower(), extra={"action": "stopped", "exit_code": int(self._code)})
        return self._code

    async def overdue(self) -> ExitCode:
        """Return when the end has begun and takes longer than it may: the code to end with all the same."""
        await self._ending.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.parts.settings.shutdown_timeout + SPARE_SECONDS):
                await self._drain.hurry.wait()
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

    async def _live(self) -> None:
        try:
            await self._serve()
        except OSError:
            # Once it runs, what the system refuses to a task of ours is a bug as any other.
            _log.critical("giving up", exc_info=True)
            self._code = ExitCode.INTERNAL

    async def _serve(self) -> None:
        parts = self.parts
        try:
            async with self._works.group as group:
                for name, client in parts.feeds.clients.items():
                    self._running.begin_feed(client, parts.watchlists.readers[name])
                for name, outlet in parts.outlets.all().items():
                    self._running.begin_sink(name, outlet)
                self._works.begin("deadman", self._deadman.run)
                tasks = [group.create_task(self._lasting(*own), name=own[0].__qualname__) for own in self._own_works()]
                await self._ending.wait()
                await self._drain.close()
                self._works.cancel()
                for task in tasks:
                    task.cancel()
                await self._drain.within_half(self._works.parted())
                self._works.break_off()
        except* TaskDied as died:
            self._code = ExitCode.INTERNAL
            _log.critical("giving up: %s", redact(str(died.exceptions[0])))
        finally:
            self.vitals.release()

    def _keeper(self, client: WebSocketClient) -> Work:
        parts = self.parts
        return FeedKeeper(client, parts.dispatcher, lambda: parts.settings.errors, self.stop).run

    async def _lasting(self, work: Work, every: float | None) -> None:
        """Do `work`, which owes a sign of life every so many seconds, or none."""
        name, turns = work.__qualname__, Turns(work)
        if every is not None:
            self.vitals.owes(name, turns, every)
        await lasting(name, turns)

    def _own_works(self) -> Iterator[tuple[Work, float | None]]:
        """The daemon's own, and how often each owes a sign of life, in seconds: one that ends ends the process."""
        parts, pulse = self.parts, self.pulse
        yield self.loop_lag.run, 1.0
        yield Blindness(parts.feeds, parts.service).run, 1.0
        yield parts.feeds.backups, 1.0
        yield self._judge, 1.0
        yield self._health.run, 1.0
        # These wait for a person or for the disk.
        yield self.reloader.run, None
        yield parts.journal.run, None
        yield parts.owing.watch, None
        if self.manager.listens:
            yield pulse.status, 1.0
        if pulse.stats_interval:
            yield pulse.statistics, pulse.stats_interval

    async def _judge(self) -> None:
        while True:
            await asyncio.sleep(VERDICT_SECONDS)
            code = verdict(self.parts.feeds.clients.values())
            if code is not None and not self._ending.is_set():
                self.stop("every feed was refused by its provider", code)

    def _lost(self, message: str) -> None:
        _log.error("%s", message, extra={"told_as": PriceError.event})
        self.parts.dispatcher.error("sink_failed", message, severity="critical")

    def _crashed(self, name: str, crash: BaseException) -> None:
        self.parts.dispatcher.error("task_failed", f"{name}: {redact(repr(crash))}", severity="critical")


def run_daemon(loaded: Loaded) -> ExitCode:
    """Run the daemon that `loaded` describes, in a loop of its own; returns how it ended.

    Raises:
        ConfigError: what only shows when the parts are put together.
        StateLocked: another daemon has the state.
        OSError: the system refused something at the start.
    """
    logs = setup_logging(loaded.settings.logging, stream=sys.stderr, environ=os.environ)
    return run_to_the_end(serve(loaded, logs), logs)


def run_to_the_end(life: Coroutine[Any, Any, ExitCode], logs: LogControl) -> ExitCode:
    """What `life` returns, in a loop of its own that ends within bounds; `logs` are closed then. Raises as it does."""
    leave_stacks()
    occupy_standard_descriptors()
    # A saturated loop pauses so often that other threads (the log's, a sink's) would never run at the usual 5 ms.
    sys.setswitchinterval(SWITCH_SECONDS)
    loop = BoundedLoop()
    try:
        code = loop.run(life)
    except (ConfigError, StateLocked, OSError):
        raise
    except (Exception, asyncio.CancelledError):  # noqa: BLE001 - the top of the run: a bug must end with its own code
        _log.critical("internal error", exc_info=True)
        code = ExitCode.INTERNAL
    finally:
        if left := loop.close():
            more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
            _log.warning("does not end, so it is broken off: %s%s", redact(", ".join(left[:MOST_NAMED])), more)
        logs.close()
    if left:
        # The interpreter would wait for it.
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        os._exit(code)
    loop.exit_soon(code)
    return code


async def serve(loaded: Loaded, logs: LogControl, *, on_ready: Callable[[str], object] | None = None) -> ExitCode:
    """Run the daemon that `loaded` describes in this loop; `on_ready(address)` is called when it serves.

    Raises as `run_daemon` does.
    """
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    daemon = Daemon(build(loaded), logs, on_ready=on_ready)
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
