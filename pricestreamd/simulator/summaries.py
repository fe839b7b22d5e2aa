"""Voices that tell not every tick but the newest of each symbol, so often: who keeps ticks until then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from pricestreamd.simulator.connection import Connection
from pricestreamd.simulator.dialect import Voice
from pricestreamd.simulator.distortion import Told


class Summaries:
    """Keeps ticks for as long as each voice is silent, and has them told: `tell(voice, newest of each symbol)`."""

    def __init__(self, tell: Callable[[Voice, Sequence[Told]], None]) -> None:
        self._tell = tell
        self._voices: set[Voice] = set()
        self._kept: dict[Voice, dict[str, Told]] = {}
        self._timers: dict[Voice, asyncio.TimerHandle] = {}

    def due(self, connections: Iterable[Connection]) -> bool:
        """Whether anybody listens to such a voice."""
        self._voices = {voice for connection in connections for voice, _ in connection.listening if voice.every}
        return bool(self._voices)

    def keep(self, told: Iterable[Told]) -> None:
        """These ticks have just happened."""
        newest = {one.tick.symbol: one for one in told}
        for voice in self._voices:
            if voice not in self._kept:
                self._kept[voice] = {}
                self._timers[voice] = asyncio.get_running_loop().call_later(voice.every, self._time_is_up, voice)
            self._kept[voice].update(newest)

    def tell_all(self) -> None:
        """Do not wait any longer: nothing more will happen."""
        for voice in list(self._kept):
            self._time_is_up(voice)

    def stop(self) -> None:
        """Tell nothing more."""
        for timer in self._timers.values():
            timer.cancel()
        self._kept.clear()

    def _time_is_up(self, voice: Voice) -> None:
        self._timers.pop(voice).cancel()
        self._tell(voice, tuple(self._kept.pop(voice).values()))
