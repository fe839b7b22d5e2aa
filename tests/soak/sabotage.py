"""Which faults come when, by the seed, and how each is done."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.soak.provider import Client, NumberedProvider
from tests.soak.wire import Wire
from tests.support.faultproxy import Latency, Slicer

# Before the first one everybody is to be subscribed.
_QUIET_SECONDS = 5.0
_SHORTEST_PAUSE = 0.3
# Kind of fault, and how often in proportion to the others.
_FAULTS = {
    "reset": 4,
    "eof": 3,
    "close 1000": 2,
    "close 1001": 2,
    "close 1011": 2,
    "half-open": 3,
    "mute": 2,
    "latency": 4,
    "slices": 2,
    "slow acks": 3,
    "refused by HTTP": 2,
    "refused by TCP": 2,
    "storm": 1,
    "dark": 1,
    "noise": 2,
    "burst": 1,
}
# Only where a provider announces it; a leaving connection is replaced before it goes.
_FAREWELL = {"farewell": 4}
# After these a client stays away for up to half a minute, or notices only then: for runs that have the time.
_SLOW = {"close 1008": 1, "close 1012": 2, "close 1013": 1, "forget": 2}
# Where these have a meaning, four in a row keep a client away for minutes, and rightly so.
_SILENT_ENDS = frozenset({"eof", "close 1000", "refused by TCP"})


@dataclass(frozen=True)
class Fault:
    """`at`: seconds since the start. `which` and `amount` are thrown between 0 and 1."""

    at: float
    kind: str
    which: float
    amount: float


def plan(seed: int, seconds: float, every: float, wire: Wire) -> list[Fault]:
    """The faults of a run: one every `every` seconds on average, none in the first and the last few seconds."""
    dice = random.Random(f"{seed}/faults")
    weights = {**_FAULTS, **(_FAREWELL if wire.farewell else {}), **(_SLOW if seconds >= 300 else {})}
    if wire.evicts_in_silence:
        weights = {kind: weight for kind, weight in weights.items() if kind not in _SILENT_ENDS}
    faults = []
    at = _QUIET_SECONDS
    while at < seconds - _QUIET_SECONDS:
        (kind,) = dice.choices(list(weights), list(weights.values()))
        faults.append(Fault(at, kind, dice.random(), dice.random()))
        at += _SHORTEST_PAUSE + dice.expovariate(1 / max(0.01, every - _SHORTEST_PAUSE))
    return faults


class Saboteur:
    """Carries out `faults` on `provider`. `done` counts them, `missed` those that found nothing to spoil."""

    def __init__(self, provider: NumberedProvider, faults: list[Fault]) -> None:
        self.done: dict[str, int] = {}
        self.missed = 0
        self._provider = provider
        self._faults = faults
        self._quiet_until = 0.0

    async def run(self) -> None:
        """Return when the last one was carried out."""
        began = time.monotonic()
        for fault in self._faults:
            await asyncio.sleep(max(began + fault.at, self._quiet_until) - time.monotonic())
            sound = [client for client in self._provider.clients if client.sound]
            if not sound:
                self.missed += 1
                continue
            self._do(fault, sound[int(fault.which * len(sound))], sound)
            self.done[fault.kind] = self.done.get(fault.kind, 0) + 1

    def calm(self) -> None:
        """End what lasts."""
        provider = self._provider
        provider.refusal, provider.proxy.refusing, provider.ack_delay, provider.speed = None, False, 0.0, 1.0
        for client in provider.clients:
            if not client.spoiled:
                client.line.clear()

    def _do(self, fault: Fault, client: Client, sound: list[Client]) -> None:  # noqa: C901, PLR0912 - a flat table
        provider = self._provider
        word, _, code = fault.kind.partition(" ")
        match word, code:
            case "reset", _:
                provider.reset(client)
            case "eof", _:
                provider.eof(client)
            case "close", code:
                provider.close(client, int(code))
            case "half-open", _:
                provider.half_open(client)
            case "mute", _:
                provider.mute(client)
            case "latency", _:
                client.line.spoil(Latency(_one_way(fault), 0.02))
                self._later(client, 1.0 + 3.0 * fault.amount, client.line.clear)
            case "slices", _:
                client.line.spoil(Slicer(100))
                self._later(client, 1.0 + 3.0 * fault.amount, client.line.clear)
            case "slow", _:
                # Now and then later than the client waits.
                provider.ack_delay = 0.3 + 4.0 * fault.amount**2
                self._later(None, 4.0, self._prompt_acks)
                provider.reset(client)
            case "refused", "by HTTP":
                provider.refusal = 503 if fault.amount < 0.5 else 429
                self._later(None, 0.5 + 2.5 * fault.amount, self._let_in)
                provider.reset(client)
            case "refused", _:
                provider.proxy.refusing = True
                self._later(None, 0.5 + 2.5 * fault.amount, self._let_in)
                provider.eof(client)
            case "storm", _:
                for each in sound:
                    provider.reset(each)
            case "dark", _:
                provider.proxy.refusing = True
                self._later(None, 1.0 + 2.0 * fault.amount, self._let_in)
                for each in sound:
                    provider.half_open(each)
            case "noise", _:
                provider.noise(client)
            case "burst", _:
                self._burst(20.0)
            case "forget", _:
                rates = provider.world.rates
                provider.forget(client, max(client.symbols, key=rates.__getitem__))
            case "farewell", _:
                # The one that goes lags behind the one that comes, and much is told by both.
                client.line.spoil(Latency(_one_way(fault), 0.02))
                self._burst(5.0)
                provider.farewell(client)
            case _:
                raise ValueError(fault.kind)

    def _later(self, client: Client | None, seconds: float, then: Callable[[], None]) -> None:
        if client is not None:
            client.busy_until = max(client.busy_until, time.monotonic() + seconds)
        asyncio.get_running_loop().call_later(seconds, then)

    def _prompt_acks(self) -> None:
        self._provider.ack_delay = 0.0

    def _burst(self, speed: float) -> None:
        """For a second so many times the ticks; until they have arrived nobody is spoiled."""
        self._provider.speed = speed
        self._quiet_until = time.monotonic() + 2.0
        self._later(None, 1.0, self._slow_down)

    def _slow_down(self) -> None:
        self._provider.speed = 1.0

    def _let_in(self) -> None:
        self._provider.refusal = None
        self._provider.proxy.refusing = False


def _one_way(fault: Fault) -> float:
    """Seconds; there and back stay below the ledger's margin."""
    return 0.02 + 0.13 * fault.amount
