"""Which sinks hear of an alert? Those that it names; where it names none that is there, those whose events match.

That an alert has become blind, or sees again, is for whoever hears of the alert itself, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pricestreamd.model.events import AlertBlind, AlertSighted, PriceAlert
from pricestreamd.sinks.delivery.worker import SinkWorker

OF_ALERTS = (PriceAlert.event, AlertBlind.event, AlertSighted.event)
"""The events that go this way: no dispatcher hands them to a sink."""


def addressees(
    event: PriceAlert | AlertBlind, named: Iterable[str], sinks: Mapping[str, SinkWorker]
) -> tuple[str, ...]:
    """The names of those of `sinks` that `event` goes to; its alert names `named`."""
    there = tuple(name for name in named if name in sinks)
    return there or tuple(name for name, sink in sinks.items() if sink.wants(event) or _wants_news(sink, event))


def _wants_news(sink: SinkWorker, event: PriceAlert | AlertBlind) -> bool:
    return not isinstance(event, PriceAlert) and sink.wants_named(PriceAlert.event, event.symbol)
