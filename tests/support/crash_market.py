"""A market whose every price is known beforehand, and alerts on it: what the proof by kill -9 is about.

Time goes in beats. At each, every symbol has one price, which is a plain function of the beat; the price's timestamp
says which beat it was, so every firing can be laid beside the path. A lane is one daemon with symbols of its own:
`W2.1` is the symbol W2 of lane 1.
"""

from __future__ import annotations

import asyncio
import json
import time

from tests.support.provider import Conversation

BEAT_SECONDS = 0.0125
WAVES = tuple(f"W{number}" for number in range(6))
KINDS = (*WAVES, "RAMP", "HOLD", "BOTH")
# One threshold on the ramp is reached in so many beats; the noise crosses it again and again for some beats more.
RAMP_BEATS = 60
STEPS = 200
HOLD_SECONDS = 0.2
COOLDOWN_SECONDS = 2.0
# From any price of a wave one of its ends is so far away.
MOVE_PERCENT = 9.0
_SLOPE = 0.02
_RAMP = 100.0


def _noise(beat: int, salt: int) -> float:
    """From -0.5 to 0.5, the same for the same arguments."""
    return ((beat * 7919 + salt * 104_729) % 1009) / 1009 - 0.5


def _triangle(beat: int, period: int) -> float:
    """From 0 to 1 and back."""
    return 1 - abs(2 * (beat % period) / period - 1)


def price(kind: str, beat: int) -> float:
    """Of a symbol without its lane."""
    if kind == "RAMP":
        return round(_RAMP + _SLOPE * beat + 2 * _noise(beat, 9), 3)
    if kind == "HOLD":
        return round((101 if beat // 40 % 2 else 99) + _noise(beat, 8), 3)
    if kind == "BOTH":
        return round(95 + 10 * _triangle(beat, 22) + _noise(beat, 7), 3)
    number = int(kind[1:])
    return round(90 + 20 * _triangle(beat + 5 * number, 12 + 3 * number) + _noise(beat, number), 3)


def volume(beat: int) -> int:
    """The day's total, be it that it falls again."""
    return 800 + 400 * (beat // 17 % 2)


def threshold(step: int) -> float:
    """Of the alert `first-<step>`."""
    return round(_RAMP + _SLOPE * RAMP_BEATS * (step + 1), 3)


def kind_of(symbol: str) -> str:
    return symbol.partition(".")[0]


def symbols(lane: int) -> list[str]:
    return [f"{kind}.{lane}" for kind in KINDS]


class Market:
    """Tells every client what it has subscribed to, at every beat while it is not `quiet`."""

    def __init__(self) -> None:
        self.began = int(time.time()) - 1
        self.quiet = False
        self.ticks = 0
        self.lives: dict[int, list[tuple[int, int]]] = {}
        """For each lane, the first and last beat that was told on each of its connections."""

    def beat(self, at: float) -> int:
        """The beat of a timestamp."""
        return round((at - self.began) / BEAT_SECONDS)

    async def trade(self, conversation: Conversation) -> None:
        """The script of the provider."""
        async for message in conversation.messages():
            if message["action"] == "subscribe":
                await conversation.acknowledge(message)
                break
        transport = conversation.transport
        subscribed = sorted(conversation.subscribed)
        if not subscribed or transport is None:
            return
        told = self.lives.setdefault(int(subscribed[0].partition(".")[2]), [])
        listening = asyncio.ensure_future(_listen(conversation))
        beat = self.beat(time.time())
        begin = beat + 1
        told.append((begin, beat))
        try:
            while not listening.done() and not transport.is_closing():
                now = self.beat(time.time())
                while beat < now and not self.quiet:
                    beat += 1
                    transport.write(b"".join(self._frame(symbol, beat) for symbol in subscribed))
                    self.ticks += len(subscribed)
                told[-1] = (begin, beat)
                await asyncio.sleep(BEAT_SECONDS / 2)
        finally:
            listening.cancel()

    def _frame(self, symbol: str, beat: int) -> bytes:
        kind = kind_of(symbol)
        more = f',"day_volume":{volume(beat)}' if kind == "BOTH" else ""
        text = (
            f'{{"event":"price","symbol":"{symbol}","price":{price(kind, beat)},'
            f'"timestamp":{self.began + beat * BEAT_SECONDS:.3f}{more}}}'
        ).encode()
        return bytes((0x81, len(text))) + text


async def _listen(conversation: Conversation) -> None:
    """Heartbeats are not answered: nobody lives so long."""
    async for _ in conversation.messages():
        pass


def alerts(lane: int) -> str:
    """Of the configuration, one a line."""
    waves = json.dumps([f"W*.{lane}"])
    lines = [
        f"{{name: over, symbols: {waves}, above: 104}}",
        f"{{name: under, symbols: {waves}, below: 96, hysteresis: 1%}}",
        f"{{name: either, symbol: W0.{lane}, above: 106, below: 94}}",
        f"{{name: cool, symbols: {waves}, above: 103, cooldown: {COOLDOWN_SECONDS:g}s}}",
        f"{{name: move, symbols: {waves}, change_percent: {MOVE_PERCENT}}}",
        f"{{name: held, symbol: HOLD.{lane}, above: 100, for: {HOLD_SECONDS * 1000:g}ms}}",
        f"{{name: pair, symbol: BOTH.{lane}, above: 100, day_volume_above: 1000, when: all}}",
    ]
    lines += [
        f"{{name: first-{step}, symbol: RAMP.{lane}, above: {threshold(step)}, once: true}}" for step in range(STEPS)
    ]
    return "\n".join(f"  - {line}" for line in lines)


def config(lane: int, provider_url: str, hook_url: str) -> str:
    """Of the daemon of a lane."""
    return f"""
feeds:
  us:
    provider: twelvedata
    api_key: ${{KEY}}
    endpoint: {provider_url}
    symbols: {json.dumps(symbols(lane))}
    market_hours: always
    reconnect: {{initial_delay: 20ms, max_delay: 20ms, jitter: 0}}
stream: {{suspect: null, history: {{size: 10}}}}
alerts:
{alerts(lane)}
sinks:
  hook:
    type: webhook
    url: "{hook_url}"
    allow_private: true
    events: [price.alert]
    retry: {{delays: [0s, 50ms, 100ms, 200ms, 400ms, 800ms, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s], jitter: 0.2}}
  log: {{type: log, events: [price.error]}}
http: {{listen: "127.0.0.1:0"}}
logging: {{format: json}}
"""
