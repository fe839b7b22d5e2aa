"""The ticks of one file of frames: a recording, or a file whose lines are raw frames of one provider.

Frames are read by the provider's own adapter, as the feed read them, so they become the same ticks. Each header of a
recording begins a new adapter. What holds for every tick of a replay holds here: its `feed` is `replay`, and it was
received when it was made.

Where a price carries no time of its own, its time is that of its receipt. A file of raw frames does not tell that;
there it is the largest time before it in the file (the beginning of 1970 before the first), and is counted, `undated`.

Nothing in a file of frames is an error once it is open: what gives no tick is counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import (
    Ack,
    Adapter,
    Farewell,
    Heartbeat,
    Ignored,
    Message,
    Missed,
    ProviderFault,
    Rejected,
    Terms,
)
from pricestreamd.providers.catalogue import create
from pricestreamd.providers.description import Description
from pricestreamd.providers.profile import Channel, Profile
from pricestreamd.replay.blocks import LineBlocks
from pricestreamd.replay.csv_texts import FIRST_SECOND, LAST_SECOND, RejectedRow, SymbolTexts
from pricestreamd.replay.csv_ticks import FEED, RejectHook
from pricestreamd.replay.input_error import ReplayInputError
from pricestreamd.replay.recording import FRAME_ERRORS, Frame, frame_of, header_of
from pricestreamd.stream.engine import FUTURE_SECONDS

Descriptions = Callable[[str], Description | None]
"""From the name of a feed to the protocol that the configuration describes for it; None where it describes none."""

# A frame is at most as long as a feed takes it (4 MiB unless configured), and grows when its quotes are escaped.
LONGEST_FRAME_LINE = 32 << 20
# Kinds of messages that are counted by name; a server that invents new ones must not make the table grow.
_MOST_KINDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFormat:
    """Whose frames the lines of a file are."""

    provider: str
    channel: Channel | None = None
    description: Description | None = None


@dataclass(slots=True)
class FrameTally:
    """What files of frames held besides ticks.

    `ignored`: messages that are no price, by kind. `malformed`: lines that are no frame, the first at `malformed_at`.
    `lost`: frames that the recorder could not keep. `undated`: ticks without a time in a file without times.
    `cut_off`: files that end in the middle. `profiles`: of each symbol, what is known of the provider that told of it
    first.
    """

    frames: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    malformed: int = 0
    malformed_at: str | None = None
    lost: int = 0
    undated: int = 0
    cut_off: list[str] = field(default_factory=list)
    profiles: dict[str, Profile] = field(default_factory=dict)

    def ignore(self, kind: str) -> None:
        """Count a message that is no price."""
        if kind not in self.ignored and len(self.ignored) >= _MOST_KINDS:
            kind = "others"
        self.ignored[kind] += 1


# The adapter of a frame, its bytes, and when it was received: NaN where the file does not tell.
_Line = tuple[Adapter, bytes, float]


class FrameTicks:
    """Reads one file, of raw frames where `raw` is given, else a recording."""

    def __init__(
        self,
        blocks: LineBlocks,
        symbols: SymbolTexts,
        on_reject: RejectHook | None,
        tally: FrameTally,
        *,
        raw: FrameFormat | None = None,
        descriptions: Descriptions | None = None,
    ) -> None:
        blocks.longest = LONGEST_FRAME_LINE
        blocks.whole = raw is not None
        self._blocks = blocks
        self._symbols = symbols
        self._on_reject = on_reject
        self._tally = tally
        self._descriptions = descriptions
        self._line = 0
        self._adapters: dict[str, Adapter] = {}
        self._raw = self._adapter(raw.provider, raw.channel, raw.description) if raw is not None else None

    def ticks(self) -> Iterator[Tick]:
        """The ticks of the file, in its order."""
        known = self._symbols.known
        latest = 0.0
        for adapter, data, received_at in self._lines():
            # Between the last time and the next there is no other: a tick with this time has none of its own.
            undated = math.isnan(received_at)
            moment = math.nextafter(latest, math.inf) if undated else received_at
            messages = adapter.decode(data, moment)
            if not messages:
                self._tally.ignore("empty")
            for message in messages:
                if type(message) is not Tick:
                    self._other(message)
                    continue
                timestamp = message.timestamp
                if undated and timestamp == moment:
                    timestamp = latest
                    self._tally.undated += 1
                elif not FIRST_SECOND <= timestamp <= LAST_SECOND:
                    self._rejected("type")
                    continue
                elif timestamp > received_at + FUTURE_SECONDS:
                    self._rejected("future")
                    continue
                latest = max(latest, timestamp)
                symbol = known.get(message.symbol) or self._learn(message.symbol, adapter)
                if symbol is None:
                    continue
                volume, currency = message.volume, message.currency
                yield Tick(symbol, message.price, timestamp, timestamp, volume, currency, FEED, message.late)
        if self._blocks.cut_off:
            self._tally.cut_off.append(str(self._blocks.path))

    # --- lines

    def _lines(self) -> Iterator[_Line]:
        raw, adapters, tally = self._raw, self._adapters, self._tally
        for block in self._blocks:
            for line in block.split(b"\n"):
                self._line += 1
                if raw is not None:
                    if line and not line.isspace():
                        tally.frames += 1
                        yield raw, line.removesuffix(b"\r"), math.nan
                    continue
                try:
                    frame = frame_of(line)
                    found = adapters[frame.feed], frame.data(), frame.received_at
                except (KeyError, *FRAME_ERRORS):
                    unusual = self._unusual(line)
                    if unusual is None:
                        continue
                    found = unusual
                tally.frames += 1
                yield found
            # A block ends with a line end, behind which `split` has seen one line more.
            self._line -= block.endswith(b"\n")

    def _unusual(self, line: bytes) -> _Line | None:
        """A line of a recording that is no frame of a feed whose header came before."""
        if not line or line.isspace():
            return None
        try:
            frame = frame_of(line)
            if frame.lost > 0:
                self._tally.lost += frame.lost
                return None
            return self._adapter_of(frame), frame.data(), frame.received_at
        except FRAME_ERRORS:
            self._header_or_malformed(line)
            return None

    def _header_or_malformed(self, line: bytes) -> None:
        header = header_of(line)
        if header is None:
            self._tally.malformed += 1
            self._tally.malformed_at = self._tally.malformed_at or self._place()
            return
        described = header.description
        description = None
        if described is not None:
            description = (self._descriptions(header.feed) if self._descriptions else None) or described.description()
        adapter = self._adapter(header.provider, header.channel, description)
        for symbol in header.symbols:
            adapter.symbols.add(symbol)
        self._adapters[header.feed] = adapter

    def _adapter_of(self, frame: Frame) -> Adapter:
        """The adapter of a feed whose header is not in the file: a piece of a recording is one, too."""
        adapter = self._adapters.get(frame.feed)
        if adapter is None:
            adapter = self._adapters[frame.feed] = create(frame.provider, Terms(feed=FEED, every_symbol=True))
        return adapter

    def _adapter(self, provider: str, channel: Channel | None, description: Description | None) -> Adapter:
        try:
            return create(provider, Terms(feed=FEED, channel=channel, description=description, every_symbol=True))
        except ValueError as exc:
            raise ReplayInputError(self._blocks.path, str(exc), line=self._line) from exc

    # --- what is no tick

    def _other(self, message: Message) -> None:
        match message:
            case Rejected(reason):
                self._rejected(reason)
            case Ignored(kind):
                self._tally.ignore(kind)
            case Heartbeat():
                self._tally.ignore("heartbeat")
            case Ack():
                self._tally.ignore("answer")
            case ProviderFault(kind):
                self._tally.ignore(f"complaint ({kind})")
            case Missed():
                self._tally.ignore("gap")
            case Farewell():
                self._tally.ignore("farewell")

    def _learn(self, text: str, adapter: Adapter) -> str | None:
        """The symbol of a tick whose text is new, or not wanted."""
        if text in self._symbols.known:
            return None
        try:
            symbol = self._symbols.learn(text)
        except RejectedRow as exc:
            self._rejected(str(exc))
            return None
        if symbol is not None:
            self._tally.profiles.setdefault(symbol, adapter.profile)
        return symbol

    def _rejected(self, reason: str) -> None:
        if self._on_reject is not None:
            self._on_reject(reason, self._place())

    def _place(self) -> str:
        return f"{self._blocks.path}:{self._line}"
