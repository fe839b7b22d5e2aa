"""Twelve Data's `price` events: one JSON object a text frame, its fields by the kind of instrument."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.dialect import Fields, Voice
from pricestreamd.simulator.instruments import Instrument

TYPES = {
    "equity": "Common Stock",
    "forex": "Physical Currency",
    "metal": "Physical Currency",
    "crypto": "Digital Currency",
}
"""What the provider calls a kind of instrument."""

# Distinct prices whose texts are remembered: writing a number costs five times a look-up, and prices repeat.
_REMEMBERED = 1 << 16


class PriceVoice(Voice):
    """All ticks, one event each. `instrument(symbol)`: what a symbol of a tick names, with its key.

    `ledger`: the day's volume is the tick's own, whatever the instrument.
    """

    fields = Fields(
        price="price",
        symbol="symbol",
        time="timestamp",
        volume="day_volume",
        optional=("currency", "currency_base", "currency_quote", "mic_code", "type", "bid", "ask"),
    )

    def __init__(self, instrument: Callable[[str], tuple[str, Instrument]], *, ledger: bool) -> None:
        self._instrument = instrument
        self._ledger = ledger
        self._frames: dict[str, _PriceFrame] = {}
        self._price_texts: dict[float, str] = {}

    def items(self, ticks: Sequence[Tick], ids: Sequence[int]) -> list[str]:  # noqa: ARG002 - not numbered
        """An event each."""
        return list(map(self.event, ticks))

    def event(self, tick: Tick) -> str:
        """The event that tells of `tick`. Its `volume` is the size of the trade."""
        frame = self._frames.get(tick.symbol)
        if frame is None:
            frame = self._new_frame(tick.symbol)
        price = self._price_texts.get(tick.price)
        if price is None:
            if len(self._price_texts) >= _REMEMBERED:
                self._price_texts.clear()
            price = self._price_texts[tick.price] = repr(tick.price)
        return frame.text(tick, price)

    def _new_frame(self, symbol: str) -> _PriceFrame:
        key, instrument = self._instrument(symbol)
        # Two spellings of one instrument share a frame, and with it the day's volume.
        frame = self._frames.get(key) or _PriceFrame(instrument, ledger=self._ledger)
        self._frames[key] = self._frames[symbol] = frame
        return frame


class _PriceFrame:
    """Writes the `price` events of one instrument. All but time, price and volume is written once."""

    __slots__ = ("_head", "_ledger", "_with_spread", "_with_volume", "volume")

    def __init__(self, instrument: Instrument, *, ledger: bool) -> None:
        pair = instrument.kind != "equity"
        fields: dict[str, Any] = {"event": "price", "symbol": instrument.ticker}
        if instrument.kind != "crypto":
            fields["currency"] = instrument.currency
        if pair:
            fields["currency_base"] = instrument.base_name
            fields["currency_quote"] = instrument.quote_name
        if instrument.exchange is not None:
            fields["exchange"] = instrument.exchange
        if instrument.mic_code is not None:
            fields["mic_code"] = instrument.mic_code
        fields["type"] = TYPES[instrument.kind]
        self._head = json.dumps(fields, separators=(",", ":"))[:-1] + ',"timestamp":'
        self._ledger = ledger
        self._with_spread = pair
        self._with_volume = instrument.kind in ("equity", "crypto")
        self.volume = 0.0

    def text(self, tick: Tick, price: str) -> str:
        """The event of `tick`, whose price is written `price`."""
        head = f'{self._head}{int(tick.timestamp)},"price":{price}'
        if self._with_spread:
            half = tick.price * 0.00002
            decimals = max(2, len(price.partition(".")[2]))
            head = f'{head},"bid":{round(tick.price - half, decimals)!r},"ask":{round(tick.price + half, decimals)!r}'
        if self._ledger:
            return f'{head},"day_volume":{int(tick.volume or 0)}}}'
        if self._with_volume and tick.volume is not None:
            self.volume = volume = self.volume + tick.volume
            return f'{head},"day_volume":{int(volume)}}}'
        return head + "}"
