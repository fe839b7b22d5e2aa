"""Tells of events that gave way: together, a second after the first of them, not one by one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from pricestreamd.model.errors import SinkError
from pricestreamd.sinks.base import ErrorHook

REPORT_SECONDS = 1.0


class Overflow:
    """Of the sink `name`. `texts`: reason to what is said of it. `told` is called before each report."""

    def __init__(self, name: str, texts: Mapping[str, str], *, on_error: ErrorHook, told: Callable[[], object]) -> None:
        self._name = name
        self._texts = texts
        self._on_error = on_error
        self._told = told
        self._known: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, loop: asyncio.AbstractEventLoop, dropped: Mapping[str, int]) -> None:
        """Something has given way: tell of it soon, as counted in `dropped` by then."""
        self._timer = loop.call_later(REPORT_SECONDS, partial(self.tell, dropped))

    def tell(self, dropped: Mapping[str, int]) -> None:
        """Tell what has given way since the last time, if anything has."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._told()
        for reason, text in self._texts.items():
            lost = dropped[reason] - self._known[reason]
            self._known[reason] += lost
            if lost:
                self._on_error(self._name, SinkError(f"{text}: {lost} gave way", sink=self._name), lost)
