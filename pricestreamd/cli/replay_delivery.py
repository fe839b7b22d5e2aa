"""`replay --with-sinks`: the sinks and listeners of a configuration, put beside a replay while it runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pricestreamd.config.load import Loaded
from pricestreamd.daemon.listeners import listener_functions
from pricestreamd.daemon.outlets import make_sinks
from pricestreamd.model.tick import Tick
from pricestreamd.replay.delivery import ConfiguredListener, Delivery, DeliveryAccount
from pricestreamd.replay.runner import ReplayRun, ReplaySummary
from pricestreamd.telemetry.logs import setup_logging


def delivered(
    loaded: Loaded, replay: ReplayRun, ticks: Iterator[Tick], speed: float | None
) -> tuple[ReplaySummary, DeliveryAccount]:
    """Replay `ticks` (`speed` None: as fast as it goes), and hand out their events; what came of both.

    Raises:
        ConfigError: a listener that cannot be imported or called, a sink that cannot be made.
    """
    functions = listener_functions(loaded)
    logs = setup_logging(loaded.settings.logging, stream=sys.stderr, environ=os.environ)
    try:
        return asyncio.run(_deliver(loaded, functions, replay, ticks, speed))
    finally:
        logs.close()


async def _deliver(
    loaded: Loaded,
    functions: Sequence[Callable[[Any], Any]],
    replay: ReplayRun,
    ticks: Iterator[Tick],
    speed: float | None,
) -> tuple[ReplaySummary, DeliveryAccount]:
    settings = loaded.settings
    pairs = zip(settings.listeners, functions, strict=True)
    # Sinks of the configuration only: nobody asked for the log that a daemon has without them.
    delivery = Delivery(
        replay.dispatcher,
        replay.engine.board,
        make_sinks(loaded, settings.sinks),
        [ConfiguredListener(one.event, function, one.call, one.priority) for one, function in pairs],
        patience=settings.shutdown_timeout,
    )
    async with delivery:
        if speed is None:
            summary = await replay.deliver(ticks, delivery)
        else:
            summary = await replay.play(ticks, speed)
    return summary, delivery.account()
