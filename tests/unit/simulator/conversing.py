"""Talking to a dialect without a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.dialect import Answer, Dialect, Request, Session


def request(
    path: str = "",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    parts: Mapping[str, str] | None = None,
) -> Request:
    query = query or {}
    length = len(path) + sum(len(name) + len(value) + 2 for name, value in query.items())
    return Request(path, parts or {}, query, headers or {}, length)


def opened(provider: Dialect, path: str = "", query: Mapping[str, str] | None = None, **parts: str) -> Session:
    session = provider.session(request(path, query, parts=parts))
    assert isinstance(session, Session), session
    return session


def refused(provider: Dialect, path: str = "", query: Mapping[str, str] | None = None, **parts: str) -> Answer:
    answer = provider.session(request(path, query, parts=parts))
    assert isinstance(answer, Answer)
    return answer


def said(session: Session, message: object, now: float = 0.0) -> dict[str, Any]:
    """The answer to one message."""
    [reply] = session.receive(message if isinstance(message, str) else json.dumps(message), now)
    assert reply.text is not None
    return json.loads(reply.text)  # type: ignore[no-any-return] # all dialects answer with objects


class Prices:
    """Quotes that a test sets."""

    def __init__(self, prices: Mapping[str, float], at: float = 1_700_000_000.0) -> None:
        self._prices = prices
        self._at = at

    def now(self) -> float:
        return self._at

    def last(self, key: str) -> Tick | None:
        price = self._prices.get(key)
        return None if price is None else Tick(key, price, self._at, self._at, 7.0)
