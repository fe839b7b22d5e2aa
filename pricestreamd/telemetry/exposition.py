"""The answer to a scrape: the metrics as Prometheus text, or OpenMetrics when asked for, made at most once a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.registry import Collector

from pricestreamd.telemetry.build_info import BuildInfo
from pricestreamd.telemetry.metrics import DaemonCollector
from pricestreamd.telemetry.settings import MetricsSettings
from pricestreamd.telemetry.view import MetricsView

Encoder = Callable[[Collector], bytes]

# However many scrape, and however often, the loop renders each form once in this time.
CACHE_SECONDS = 1.0
# What the encoder may answer with. The client's version stands in the answer's type: any other than these would let
# a stranger choose the text of a header and fill the cache.
SPOKEN = (
    CONTENT_TYPE_PLAIN_0_0_4,
    "text/plain; version=1.0.0; charset=utf-8",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
)


class Exposition:
    """Renders the metrics of one daemon, and those of its process (`process_*`)."""

    def __init__(
        self,
        view: MetricsView,
        settings: MetricsSettings,
        *,
        build: BuildInfo | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._daemon = DaemonCollector(view, settings.max_symbol_series, build)
        self._registry = CollectorRegistry()
        self._registry.register(self._daemon)
        ProcessCollector(registry=self._registry)
        self._clock = clock
        self._rendered: dict[str, tuple[float, bytes]] = {}

    def apply(self, settings: MetricsSettings) -> None:
        """Use `settings` from the next rendering on."""
        self._daemon.max_symbol_series = settings.max_symbol_series

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The body and its Content-Type, for a request with this Accept header."""
        encoder, content_type = encoder_for(accept)
        now = self._clock()
        rendered = self._rendered.get(content_type)
        if rendered is None or not 0 <= now - rendered[0] < CACHE_SECONDS:
            rendered = self._rendered[content_type] = (now, encoder(self._registry))
        return rendered[1], content_type


def encoder_for(accept: str) -> tuple[Encoder, str]:
    """The encoder for this Accept header and the Content-Type of what it makes; plain text where it asks for else."""
    try:
        encoder, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is no number
        return generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    if content_type.partition("; escaping=")[0] not in SPOKEN:
        return generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    return encoder, content_type
