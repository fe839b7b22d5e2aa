"""Which symbols are wanted, which are confirmed, and what to ask for next: two sets, reconciled again and again.

`wanted` is what we want; it changes only when the user says so. `confirmed` is what the provider has acknowledged on
this connection; a new connection begins with nothing. Whatever lies between the two is asked for or given up, at any
time and in any order, so a symbol wanted while the connection was down is subscribed when it is up again.

A wanted symbol is in one of these states:

- *pending*: not asked for yet, or asked for and not answered. What is not answered is asked for again, after the
  timeout, then twice as long, and so on.
- *subscribed*: confirmed.
- *rejected*: the provider refused it, with a reason. It is not asked for again on this connection. A new connection
  asks again when the refusal is old enough for the reason to have gone (another plan, a freed place).

An acknowledgement counts only for what was asked for and not given up since. One that was on its way while the symbol
was given up says nothing of now: if the symbol is wanted again it is asked for again, and if not, given up again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pricestreamd.model.interface import SubscriptionState
from pricestreamd.model.tick import symbol_key

# A refusal is believed for this many seconds before a new connection asks again.
_REFUSAL_HOLDS = 900.0
# Asking again never waits longer than this many seconds.
_MAX_PATIENCE = 900.0


@dataclass(slots=True)
class _Asked:
    """A request that has no answer yet: for what, when it was sent, and how long its answer may take."""

    symbol: str
    at: float
    patience: float


class Subscriptions:
    """The symbols of one connection. Symbols go by their configured spelling; case and space do not matter.

    `timeout`: seconds after which an unanswered request counts as lost.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._wanted: dict[str, str] = {}
        self._confirmed: dict[str, str] = {}
        self._asked: dict[str, _Asked] = {}
        self._rejected: dict[str, tuple[str, float]] = {}
        self._stray: dict[str, str] = {}
        self.answered = False
        """Whether the provider has answered any request on this connection."""
        self.revision = 0
        """Counts the changes of what is wanted or confirmed: who has seen this number need not look again."""

    # --- what we want

    def want(self, symbols: Iterable[str]) -> list[str]:
        """Want `symbols`; return those that are new. A symbol refused before is asked for again."""
        new = []
        for symbol in symbols:
            key = symbol_key(symbol)
            self._rejected.pop(key, None)
            if key not in self._wanted:
                self._wanted[key] = symbol.strip()
                self.revision += 1
                new.append(self._wanted[key])
        return new

    def unwant(self, symbols: Iterable[str]) -> list[str]:
        """Want `symbols` no longer; return those that were wanted, as they were spelled."""
        gone = []
        for symbol in symbols:
            key = symbol_key(symbol)
            if key in self._wanted:
                gone.append(self._wanted.pop(key))
                self.revision += 1
                self._rejected.pop(key, None)
        return gone

    def __contains__(self, symbol: str) -> bool:
        return symbol_key(symbol) in self._wanted

    @property
    def wanted(self) -> list[str]:
        """The wanted symbols, in the order in which they were asked for."""
        return list(self._wanted.values())

    def is_confirmed(self, symbol: str) -> bool:
        """Whether `symbol` is wanted, and the provider has confirmed it."""
        key = symbol_key(symbol)
        return key in self._wanted and key in self._confirmed

    @property
    def confirmed(self) -> list[str]:
        """The wanted symbols that the provider has confirmed."""
        return [symbol for key, symbol in self._wanted.items() if key in self._confirmed]

    @property
    def confirmed_count(self) -> int:
        """How many symbols are confirmed."""
        return len(self._confirmed.keys() & self._wanted.keys())

    def states(self) -> Iterator[tuple[str, tuple[SubscriptionState, str | None]]]:
        """Every wanted symbol with its state, and the reason where there is one."""
        for key, symbol in self._wanted.items():
            if key in self._rejected:
                yield symbol, ("rejected", self._rejected[key][0])
            elif key in self._confirmed:
                yield symbol, ("subscribed", None)
            else:
                yield symbol, ("pending", None)

    @property
    def rejected(self) -> set[str]:
        """The keys of the wanted symbols that the provider has refused: they take no place on a connection."""
        return set(self._rejected)

    def settled(self, symbols: Iterable[str]) -> bool:
        """Whether there is nothing to wait for: each is confirmed, refused, or wanted no longer."""
        return self._pending().isdisjoint(map(symbol_key, symbols))

    @property
    def waiting(self) -> bool:
        """Whether the provider owes an answer, or we owe it a request."""
        return bool(self._pending())

    # --- what the connection does

    def reset(self, now: float) -> None:
        """The connection is gone: nothing is confirmed, nothing asked for, and old refusals are forgotten."""
        self.revision += 1
        self._confirmed.clear()
        self._asked.clear()
        self._stray.clear()
        self.answered = False
        self._rejected = {k: (why, at) for k, (why, at) in self._rejected.items() if now - at < _REFUSAL_HOLDS}

    def to_subscribe(self, now: float) -> list[str]:
        """What to ask for now: wanted, neither confirmed nor refused, and not being waited for."""
        return [
            symbol
            for key, symbol in self._wanted.items()
            if key not in self._confirmed and key not in self._rejected and not self._waits(key, now)
        ]

    def to_unsubscribe(self) -> list[str]:
        """What to give up: confirmed, asked for or acknowledged too late, and not wanted."""
        held = {**self._stray, **self._confirmed, **{key: asked.symbol for key, asked in self._asked.items()}}
        return [symbol for key, symbol in held.items() if key not in self._wanted]

    def asked(self, symbols: Iterable[str], now: float) -> None:
        """A request for `symbols` has been sent."""
        for symbol in symbols:
            key = symbol_key(symbol)
            before = self._asked.get(key)
            patience = min(before.patience * 2, _MAX_PATIENCE) if before else self._timeout
            self._asked[key] = _Asked(symbol, now, patience)
            self._stray.pop(key, None)

    def given_up(self, symbols: Iterable[str]) -> None:
        """A request to give up `symbols` has been sent; what the provider answers to it does not matter."""
        self.revision += 1
        for key in map(symbol_key, symbols):
            self._confirmed.pop(key, None)
            self._asked.pop(key, None)
            self._stray.pop(key, None)

    def acknowledge(self, subscribed: Iterable[str], rejected: Mapping[str, str], now: float) -> dict[str, str]:
        """Take the provider's answer; return the refusals that are news, as `refuse` does."""
        self.answered = True
        self.revision += 1
        for symbol in subscribed:
            key = symbol_key(symbol)
            self._rejected.pop(key, None)
            if self._asked.pop(key, None) is not None or key in self._confirmed:
                self._confirmed[key] = symbol
            elif key not in self._wanted:
                self._stray[key] = symbol
        return self.refuse(rejected, now)

    def refuse(self, symbols: Mapping[str, str], now: float) -> dict[str, str]:
        """Take `symbols`, each with its reason, as refused; return those of them that were not refused before."""
        news = {}
        self.revision += bool(symbols)
        for symbol, reason in symbols.items():
            key = symbol_key(symbol)
            self._confirmed.pop(key, None)
            self._asked.pop(key, None)
            if key in self._wanted:
                if key not in self._rejected:
                    news[self._wanted[key]] = reason
                self._rejected[key] = (reason, now)
        return news

    def overdue_at(self) -> float | None:
        """When the first unanswered request of a wanted symbol counts as lost; None if none is waited for."""
        return min(
            (asked.at + asked.patience for key, asked in self._asked.items() if key in self._wanted), default=None
        )

    def _pending(self) -> set[str]:
        return {key for key in self._wanted if key not in self._confirmed and key not in self._rejected}

    def _waits(self, key: str, now: float) -> bool:
        asked = self._asked.get(key)
        return asked is not None and now < asked.at + asked.patience
