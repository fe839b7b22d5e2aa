"""Is the other end still there? Three clocks of one open connection, read now and then.

- *pong*: a ping goes out every `interval`; if nothing at all has come in `timeout` after it, the network is gone. Any
  frame will do: a connection that brings prices is alive whatever it thinks of pings.
- *heartbeat*: where the provider answers heartbeats, silence of its application for longer than the profile allows
  means that it is mute, though its machine still answers pings.
- *data*: prices are expected, and none has come for `data_limit`. The connection may be sound in every other way.

Nobody tells these clocks about single messages; that would cost more than the message. Whoever owns them looks at the
counters about once a second and says what has moved since, so a time here is at most one look late. A look that comes
much too late (the process itself was held up, and what has arrived is still unread) judges nobody: every clock is set
back by as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pricestreamd.feeds.settings import HeartbeatSettings
from pricestreamd.providers.profile import Profile

Death = Literal["pong", "heartbeat"]

# Between two looks at the counters, in seconds; less where a limit is so short that it would be missed.
_LOOK = 1.0
_LOOKS_PER_LIMIT = 5
# So many seconds late, a look says more about us than about the other end.
_HELD_UP = 2.0


@dataclass(frozen=True, slots=True)
class Due:
    """What a look has found. `silent_seconds` is how long no price has come, if that is too long."""

    ping: bool = False
    keepalive: bool = False
    death: Death | None = None
    silent_seconds: float | None = None


class Liveness:
    """The clocks of one connection, which opened at `now`. All times are those of one monotonic clock."""

    def __init__(self, heartbeat: HeartbeatSettings, profile: Profile, now: float) -> None:
        self.heartbeat = heartbeat
        self._profile = profile
        self._last_ping = now
        self._pong_by: float | None = None
        self._last_keepalive = now
        self._last_message = now
        self._data_since: float | None = None
        self._data_limit: float | None = None
        self._next_look = now

    def expect_data(self, limit: float | None, now: float, waited: float = 0.0) -> None:
        """From now on a price is expected every `limit` seconds; None: not at all.

        `waited`: for how many seconds that was so before this connection, without one.
        """
        if self._data_since is None or limit is None:
            self._data_since = None if limit is None else now - waited
        self._data_limit = limit

    def heard(self, now: float, *, data: bool) -> None:
        """Messages have come since the last look; `data`: prices among them."""
        self._pong_by = None
        self._last_message = now
        if data and self._data_since is not None:
            self._data_since = now

    def waited(self, now: float) -> float | None:
        """For how many seconds a price has been expected that has not come; None where none is."""
        return None if self._data_since is None else now - self._data_since

    def silent(self, now: float) -> float | None:
        """For how many seconds no price has come, if that is too long."""
        waited = self.waited(now)
        return waited if waited is not None and self._data_limit is not None and waited >= self._data_limit else None

    def ponged(self) -> None:
        """A pong or a ping has come: the network is there."""
        self._pong_by = None

    def pinged(self, now: float) -> None:
        """Our ping has been sent."""
        self._last_ping = now
        if self._pong_by is None:
            self._pong_by = now + self.heartbeat.timeout

    def keep_alive_at(self, when: float) -> None:
        """The next heartbeat of ours is due at `when`: an interval after the last, or when the pace allows it."""
        self._last_keepalive = when - (self._profile.heartbeat_interval or 0.0)

    def look(self, now: float) -> Due:
        """What is due, or overdue."""
        late = now - self._next_look
        if late > _HELD_UP:
            self._set_back(late)
        death: Death | None = None
        if (at := self._pong_at()) is not None and now >= at:
            death = "pong"
        elif (at := self._mute_at()) is not None and now >= at:
            death = "heartbeat"
        ping, keepalive = self._ping_at(), self._keepalive_at()
        return Due(
            ping=ping is not None and now >= ping,
            keepalive=keepalive is not None and now >= keepalive,
            death=death,
            silent_seconds=self.silent(now),
        )

    def next_look(self, now: float) -> float:
        """When to look next."""
        limits = [
            self.heartbeat.timeout if self.heartbeat.enabled else None,
            self._profile.heartbeat_silence,
            self._data_limit,
        ]
        shortest = min((limit for limit in limits if limit is not None), default=_LOOK * _LOOKS_PER_LIMIT)
        times = [now + min(_LOOK, shortest / _LOOKS_PER_LIMIT), self._ping_at(), self._keepalive_at(), self._pong_at()]
        self._next_look = max(now, min(time for time in times if time is not None))
        return self._next_look

    def _set_back(self, seconds: float) -> None:
        self._last_message += seconds
        if self._pong_by is not None:
            self._pong_by += seconds
        if self._data_since is not None:
            self._data_since += seconds

    def _ping_at(self) -> float | None:
        if not self.heartbeat.enabled or self._profile.transport != "websocket" or self._pong_by is not None:
            return None  # nobody to ask, or one question at a time
        return self._last_ping + self.heartbeat.interval

    def _pong_at(self) -> float | None:
        return self._pong_by if self.heartbeat.enabled else None

    def _keepalive_at(self) -> float | None:
        interval = self._profile.heartbeat_interval
        return None if interval is None else self._last_keepalive + interval

    def _mute_at(self) -> float | None:
        silence = self._profile.heartbeat_silence
        return None if silence is None else self._last_message + silence
