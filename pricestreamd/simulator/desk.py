"""The desk: who is connected, what they have asked for, and when their connections end. The same for all faces."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

from pricestreamd.simulator.connection import Connection
from pricestreamd.simulator.dialect import Dialect, Reply
from pricestreamd.simulator.ledger import Ledger
from pricestreamd.simulator.player import Player
from pricestreamd.simulator.scenario import Scenario
from pricestreamd.simulator.scenario_list import CLOSE_REASONS
from pricestreamd.simulator.timers import Timers

_log = logging.getLogger(__name__)

_FLOOD_SECONDS = 1 / 200
_ENDLESS_SECONDS = 0.05
# Between the announcement of a shutdown and the close.
_SHUTDOWN_SECONDS = 1.0


class Desk:
    """Keeps `connections`; `connects` counts those that were ever opened. `player`: who sends the prices."""

    def __init__(
        self, scenario: Scenario, connections: list[Connection], player: Player, ledger: Ledger | None
    ) -> None:
        self.scenario = scenario
        self.connections = connections
        self.connects = 0
        self.player = player
        self._ledger = ledger
        self._timers: dict[Connection, Timers] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slow_until = 0.0
        self._slow_by = 0.0

    # --- connections come and go

    def crowded(self, dialect: Dialect, key: str) -> bool:
        """Whether one more connection with this key is refused before it is one."""
        allowed = dialect.limits.connections_per_key
        return self.scenario.crowding == "refuse" and allowed is not None and len(self._with(dialect, key)) >= allowed

    def opened(self, connection: Connection) -> None:
        """Take it in: what its session says first, whom it pushes out, and what the scenario has in store for it."""
        self.connects += 1
        connection.number = self.connects
        self.connections.append(connection)
        connection.slices = self.scenario.slices
        if self.scenario.small_buffers:
            connection.shrink()
        if self._ledger is not None:
            name, now = type(connection.dialect).__name__.lower(), connection.opened_at
            connection.life = self._ledger.opened(connection.number, name, connection.key, now)
        self._timers[connection] = Timers()
        self._make_room(connection)
        self._set_clocks(connection)
        _log.debug("connection %d opened, %d open", connection.number, len(self.connections))
        for reply in connection.session.opened():
            self._perform(connection, reply)

    def gone(self, connection: Connection) -> None:
        """Its TCP stream is over."""
        self._timers.pop(connection).cancel()
        self.connections.remove(connection)
        if connection.life is not None:
            connection.life.ended_at = connection.ended_at or asyncio.get_running_loop().time()
            connection.life.ending = connection.ending or "client"
        self.player.subscriptions_changed()
        ending, age = connection.ending or "by its client", asyncio.get_running_loop().time() - connection.opened_at
        _log.debug(
            "connection %d ended (%s) after %.1f s, %d prices sent; %d open",
            connection.number, ending, age, connection.sent, len(self.connections),
        )  # fmt: skip

    def close(self, connection: Connection, code: int, reason: str | None = None) -> None:
        """Begin to close it, as its face does politely. Without a reason, that of the scenario."""
        if reason is None:
            reason = self.scenario.close_reason or ""
            reason = CLOSE_REASONS.get(code, "") if reason == "usual" else reason
        self.spawn(connection.close(code, reason))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that waits."""
        task = asyncio.create_task(work, name="simulator desk")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def shut(self) -> None:
        """Everybody goes."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(connection.leave(1001) for connection in list(self.connections)))

    def _with(self, dialect: Dialect, key: str) -> list[Connection]:
        there = [other for other in self.connections if other.ending is None]
        return [other for other in there if other.key == key and other.dialect is dialect]

    def _make_room(self, newest: Connection) -> None:
        allowed = newest.dialect.limits.connections_per_key
        same = self._with(newest.dialect, newest.key)
        if allowed is None or len(same) <= allowed:
            return
        match self.scenario.crowding:
            case "newest":
                self.close(newest, 1008, "connection limit exceeded")
            case "both":
                for connection in same:
                    connection.cut()
            case _:
                for connection in same[:-allowed]:
                    connection.cut()

    # --- what the scenario has in store

    def _set_clocks(self, connection: Connection) -> None:
        scene, limits, timers = self.scenario, connection.dialect.limits, self._timers[connection]
        if scene.ends_after is not None:
            timers.later(scene.ends_after, partial(self._end, connection))
        if scene.mute_after is not None:
            connection.muted = scene.mute_after <= 0
            timers.later(scene.mute_after, partial(self.mute, connection))
        if scene.dead_after is not None:
            timers.later(scene.dead_after, partial(self.kill, connection))
        if scene.torn_after is not None:
            timers.later(scene.torn_after, partial(self._tear, connection))
        if scene.shutdown_after is not None:
            timers.later(scene.shutdown_after, partial(self._shut_down, connection))
        if limits.lifetime is not None:
            timers.later(limits.lifetime, partial(self.close, connection, 1001))
        if limits.ping_every is not None:
            timers.every(limits.ping_every, partial(self._give_sign, connection))

    def _end(self, connection: Connection) -> None:
        if self.scenario.ending == "close":
            self.close(connection, self.scenario.close_code)
        else:
            connection.cut(reset=self.scenario.ending == "reset")

    def mute(self, connection: Connection) -> None:
        """No prices from now on."""
        _log.debug("connection %d: no prices from now on", connection.number)
        connection.muted = True
        self.player.subscriptions_changed()

    def kill(self, connection: Connection) -> None:
        """Nothing from now on, and TCP stays open."""
        _log.debug("connection %d: nothing from now on, and TCP stays open", connection.number)
        connection.die()
        self.player.subscriptions_changed()

    def _tear(self, connection: Connection) -> None:
        how, timers = self.scenario.torn, self._timers[connection]
        if how == "ping-flood":
            timers.every(_FLOOD_SECONDS, partial(connection.sign_of_life, "flood"))
            return
        connection.tear(how)
        if how == "endless-message":
            timers.every(_ENDLESS_SECONDS, partial(connection.tear, "more"))
        self.mute(connection)

    def _shut_down(self, connection: Connection) -> None:
        farewell = connection.session.farewell(time.time())
        if farewell is not None:
            connection.say([farewell])
        wait = _SHUTDOWN_SECONDS if farewell is not None else 0.0
        self._timers[connection].later(wait, partial(self.close, connection, 1001))

    def signs_stopped(self, connection: Connection) -> bool:
        """Whether the provider gives no signs of life of its own on this connection any more."""
        until = self.scenario.pings_until
        return until is not None and asyncio.get_running_loop().time() - connection.opened_at >= until

    def _give_sign(self, connection: Connection) -> None:
        if self.signs_stopped(connection) or not connection.writable:
            return
        text = connection.dialect.sign_of_life(time.time())
        connection.sign_of_life(text)
        within = connection.dialect.limits.pong_within
        if within is not None:
            self._timers[connection].later(within, partial(self._check_answer, connection, text))

    def _check_answer(self, connection: Connection, text: str) -> None:
        if text in connection.unanswered and connection.writable:
            self.close(connection, 1008, "Pong timeout")

    # --- what clients say

    def heard(self, connection: Connection) -> bool:
        """A message, ping or pong has come: whether it has any effect."""
        complaint = connection.session.heard(asyncio.get_running_loop().time())
        if complaint is not None:
            self._perform(connection, complaint)
        return complaint is None

    def receive(self, connection: Connection, text: str) -> None:
        """A message has come."""
        for reply in connection.session.receive(text, asyncio.get_running_loop().time()):
            self._answer(connection, reply)

    def slow_down(self, seconds: float, delay: float) -> None:
        """For a while, acknowledge so much later."""
        self._slow_until = asyncio.get_running_loop().time() + seconds
        self._slow_by = delay

    def _answer(self, connection: Connection, reply: Reply) -> None:
        """Give a reply now, or, if it is an acknowledgement, when the scenario lets it."""
        if reply.heartbeat and self.signs_stopped(connection):
            return
        delay = self.scenario.ack_delay
        if delay is not None and asyncio.get_running_loop().time() < self._slow_until:
            delay = self._slow_by
        if reply.listens is None or delay == 0:
            self._perform(connection, reply)
        elif delay is not None:
            self._timers[connection].later(delay, partial(self._perform, connection, reply))

    def _perform(self, connection: Connection, reply: Reply) -> None:
        # Both in one go, so that no price can come before the acknowledgement.
        scene, timers = self.scenario, self._timers[connection]
        if reply.text is not None and reply.listens is not None and scene.ack_lag:
            timers.later(scene.ack_lag, partial(connection.say, [reply.text]))
        elif reply.text is not None:
            connection.say([reply.text])
        if reply.listens is not None:
            fewer = set(reply.subscribed or ()) < set(connection.subscribed)
            if fewer and scene.unsubscribe_lag:
                timers.later(scene.unsubscribe_lag, partial(self._listen, connection, reply))
            else:
                self._listen(connection, reply)
        if reply.close is not None:
            self.close(connection, *reply.close)

    def _listen(self, connection: Connection, reply: Reply) -> None:
        connection.listen(reply.listens or ())
        _log.debug("connection %d hears of %d symbols", connection.number, len(connection.subscribed))
        self.player.subscriptions_changed()
        if reply.snapshot:
            self.player.snapshot(connection, connection.dialect.key)
