"""Alpha Vantage: JSON over plain HTTP, asked again and again; there is no stream.

Documentation: https://www.alphavantage.co/documentation/, read in the state of 2026-11.

What its server says, and what is odd about it:

- `REALTIME_BULK_QUOTES`: up to 100 US symbols in one request; for the larger paid plans. It is tried first. A key
  without it gets `is a premium endpoint`, partly with invented sample data beside it: only `message: success` is
  believed.
- `GLOBAL_QUOTE`: one symbol in a request, what everybody else gets. Without an entitlement it changes once a day.
  `entitlement=delayed` in the query of `endpoint` makes it 15 minutes old, `realtime` new; the name of the answer's one
  key then gains a suffix. Who has an entitlement has a paid plan, and is asked for as such.
- All values are texts. A quote has a date only: its time is the close of that day in New York, or now if that is still
  to come. Bulk quotes have a time without a zone, which is New York's.
- Every error is HTTP 200, and told by its words alone. A key that was made up is not refused. The text of the daily
  quota quotes the key, and one text has been seen for a quota, a burst and a plan that is too small: a refusal of that
  kind is therefore answered with ever longer pauses.
- Free plans have 25 requests a day and 1 a second; the smallest paid one 75 a minute.

**The price** is `05. price`, or in bulk `close`; outside the regular session (09:30 to 16:00 New York)
`extended_hours_quote` where there is one, because then the time is that quote's. `volume` is the day's total. A quote
with the price, the volume and the day of the one before is a sign of life, and no tick.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, quote_plus, urlsplit, urlunsplit
from zoneinfo import ZoneInfo

from pricestreamd.model.secret import MASK
from pricestreamd.model.tick import Tick
from pricestreamd.providers.base import (
    Adapter,
    ConnectParams,
    FaultKind,
    Heartbeat,
    HttpRequest,
    Ignored,
    Message,
    ProviderFault,
    Rejected,
    Request,
    Terms,
)
from pricestreamd.providers.complaints import bounded
from pricestreamd.providers.profile import Profile
from pricestreamd.providers.rejection import Unreadable, parse, read_number, read_price
from pricestreamd.providers.turns import Turns

PROFILE = Profile(
    name="alphavantage",
    documentation="https://www.alphavantage.co/documentation/",
    transport="poll",
    subscribes="implicit",
    endpoint="https://www.alphavantage.co/query",
    auth="query",
    channels={"ticker": "day"},
    acknowledges=False,
    # The quota belongs to the key, so a second connection would gain nothing.
    max_connections=1,
    control_messages=75,
    control_window=60.0,
    batch_size=100,
    # A date, or a local time without its zone: no unit at all.
    time_unit="none",
    text_prices=True,
)

_NEW_YORK = ZoneInfo("America/New_York")
_OPEN, _CLOSE = time(9, 30), time(16)
_NOTHING = ("", None)
_MAX_TEXT = 2000
# A shorter text is part of many a word.
_SHORTEST_KEY = 4

# What an answer without quotes is about, by its words. The first that matches counts, and the order matters: the texts
# about quotas advertise premium plans, and one about premium plans advertises their quotas.
_WORDS = tuple(
    (re.compile(pattern, re.IGNORECASE), about)
    for pattern, about in (
        ("invalid api call", "symbol"),
        ("is a premium endpoint|sample data|entitle", "plan"),
        ("spreading out|sparingly|per second|burst", "burst"),
        ("per day|daily", "day"),
        ("per minute|frequency|rate limit", "burst"),
        ("api ?key", "key"),
        ("premium|subscribe", "plan"),
    )
)
# Seconds until the next request after the first answer without quotes in a row, and how much longer each next one is.
_FIRST_PAUSE, _PAUSE_GROWS, _LONGEST_PAUSE = 5.0, 4.0, 3600.0


class AlphaVantage(Adapter):
    """The adapter of Alpha Vantage."""

    profile: ClassVar[Profile] = PROFILE

    def __init__(self, terms: Terms | None = None) -> None:
        super().__init__(terms)
        parts = urlsplit(self._endpoint)
        self._entitled = "entitlement" in parse_qs(parts.query)
        self._turns = Turns(self.profile.batch_size or 1, paid=self._entitled)
        self._asked: tuple[str, ...] = ()
        """Whom the request under way asks about."""
        self._refused: set[str] = set()
        self._last: dict[str, tuple[float, float | None, str]] = {}
        """The last price of each symbol, with its volume and day."""
        self._failures = 0
        key = self._api_key.reveal() if self._api_key else ""
        forms = {key, quote(key), quote(key, ""), quote_plus(key)}
        self._echo = re.compile("|".join(map(re.escape, forms)), re.IGNORECASE) if len(key) >= _SHORTEST_KEY else None

    # --- what we say

    def follow(self, before: Adapter) -> None:
        """A pause outlasts the connection; what was asked does not, for it may never have reached the server."""
        if isinstance(before, AlphaVantage) and before.terms.api_key == self.terms.api_key:
            self._turns.follow(before._turns)  # noqa: SLF001 - another of this class
            self._failures = before._failures  # noqa: SLF001 - as above

    def connect_params(self) -> ConnectParams:
        """Where the requests go; each has an address of its own."""
        return ConnectParams(self._endpoint)

    def next_poll(self, now: float) -> HttpRequest | float:
        """All symbols of the table in turn, but for those that the provider has refused."""
        symbols = list(self.symbols)
        self._refused.intersection_update(symbols)
        self._last = {symbol: last for symbol, last in self._last.items() if symbol in self.symbols}
        turn = self._turns.next([symbol for symbol in symbols if symbol not in self._refused], now)
        if isinstance(turn, float):
            return turn
        self._asked = turn
        return HttpRequest(self._address("REALTIME_BULK_QUOTES" if self._in_bulk(turn) else "GLOBAL_QUOTE", turn), turn)

    def encode_subscribe(self, symbols: Sequence[str]) -> Sequence[Request]:  # noqa: ARG002 - the polls say it all
        """Nothing: each poll names its symbols."""
        return ()

    def encode_unsubscribe(self, symbols: Sequence[str]) -> Sequence[Request]:  # noqa: ARG002 - as above
        """Nothing, as above."""
        return ()

    def refusal(self, symbol: str) -> str | None:
        """A comma would part it in two; pairs have prices, but by another function of the provider."""
        if not symbol.strip():
            return "an empty symbol"
        if "," in symbol:
            return "a symbol cannot hold a comma"
        return "a pair: only securities are asked about here" if "/" in symbol else None

    def to_native(self, symbol: str) -> str:
        """Upper case."""
        return symbol.strip().upper()

    def from_native(self, native_symbol: str, *venues: str) -> str | None:
        """`venues` do not matter: a foreign exchange is part of the symbol (`TSCO.LON`)."""
        return self.symbols.resolve(native_symbol, venues)

    def _in_bulk(self, asked: tuple[str, ...]) -> bool:
        return self._turns.batch > 1 and bool(asked) and asked[0] not in self._turns.alone

    def _address(self, function: str, symbols: Iterable[str]) -> str:
        parts = urlsplit(self._endpoint)
        names = ",".join(quote(self.to_native(symbol), safe="") for symbol in symbols)
        key = f"apikey={quote(self._api_key.reveal(), safe='')}" if self._api_key else ""
        query = "&".join(filter(None, (parts.query, f"function={function}", f"symbol={names}", key)))
        return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))

    # --- what the server says

    def decode(self, data: bytes | str, received_at: float) -> Sequence[Message]:
        """The answer to the request under way."""
        asked, self._asked = self._asked, ()
        value = parse(data)
        if isinstance(value, Unreadable) or not isinstance(value, dict):
            self._put_back(asked)
            return (Rejected(value.reason if isinstance(value, Unreadable) else "type"),)
        name, found = next(((n, v) for n, v in value.items() if n.startswith("Global Quote")), (None, None))
        if name is not None:
            return self._single(found, asked, received_at)
        if isinstance(rows := value.get("data"), list) and value.get("message") == "success":
            return list(self._bulk(rows, asked, received_at))
        texts = (value.get(key) for key in ("Error Message", "Information", "Note", "message"))
        text = next((text for text in texts if isinstance(text, str)), None)
        if text is None:
            self._put_back(asked)
            return (Ignored(self._bounded(next(iter(value), ""))),)
        return (self._complaint(text, asked, received_at),)

    def classify_handshake(self, status: int, text: str) -> ProviderFault:
        """As everywhere; no status but 200 is documented."""
        return ProviderFault(super().classify_handshake(status, "").kind, self._bounded(text))

    def _single(self, found: object, asked: tuple[str, ...], received_at: float) -> Sequence[Message]:
        if found == {}:
            return (self._refuse(asked, "the provider has no quote of it"),)
        if not isinstance(found, dict):
            self._put_back(asked)
            return (Rejected("type"),)
        self._failures = 0
        return (self._quote(found.get("01. symbol"), found.get("05. price"), found, received_at),)

    def _bulk(self, rows: list[Any], asked: tuple[str, ...], received_at: float) -> Iterator[Message]:
        self._failures = 0
        self._turns.paid = True
        missing = set(asked)
        for row in rows:
            if not isinstance(row, dict):
                yield Rejected("type")
                continue
            native = row.get("symbol")
            if isinstance(native, str):
                missing.discard(self.symbols.resolve(native) or "")
            yield self._quote(native, _bulk_price(row), row, received_at)
        # It has US symbols only, and says nothing about the others.
        self._turns.alone |= missing
        self._turns.put_back(missing)
        if not rows:
            yield Ignored("no rows")

    def _quote(self, native: object, price: object, value: dict[str, Any], received_at: float) -> Message:
        """`value`: what stands beside the price, by the names of a single quote or a row."""
        when = value.get("07. latest trading day", value.get("timestamp"))
        timestamp = _epoch(when, received_at)
        if native is None or price in _NOTHING:
            return Rejected("missing")
        if not isinstance(native, str) or timestamp is None:
            return Rejected("type")
        number = read_price(price)
        if isinstance(number, str):
            return Rejected(number)
        symbol = self.symbols.resolve(native)
        if symbol is None:
            return Rejected("unknown_symbol")
        volume = read_number(value.get("06. volume", value.get("volume")))
        told = (number, volume, when[:10] if isinstance(when, str) else "")
        if self._last.get(symbol) == told:
            return Heartbeat()
        self._last[symbol] = told
        return Tick(symbol, number, timestamp, received_at, volume, None, self.feed)

    # --- what it complains of

    def _complaint(self, text: str, asked: tuple[str, ...], received_at: float) -> Message:
        about = next((about for pattern, about in _WORDS if pattern.search(text)), None)
        bulk = self._in_bulk(asked)
        message = self._bounded(text)
        match about:
            case "symbol" | "plan" if bulk:
                self._ask_singly(asked, for_all=about == "plan")
                return Ignored("premium" if about == "plan" else "invalid api call")
            case "symbol":
                return self._refuse(asked, message)
            case "plan" | "key":
                self._put_back(asked)
                return ProviderFault(FaultKind.ENTITLEMENT if about == "plan" else FaultKind.AUTH, message)
            case "day":
                pause = _until_next_day(received_at)
                self._turns.put_back(asked, pause)
                return ProviderFault(FaultKind.RATE_LIMITED, message, retry_after=pause)
            case "burst":
                if self._failures and bulk and not self._turns.paid:
                    self._ask_singly(asked, for_all=True)
                return ProviderFault(FaultKind.RATE_LIMITED, message, retry_after=self._put_back(asked))
            case _:
                self._put_back(asked)
                return ProviderFault(FaultKind.TRANSIENT, message)

    def _ask_singly(self, asked: tuple[str, ...], *, for_all: bool) -> None:
        """Ask again one by one: all symbols from now on, or those among `asked` that never had a price."""
        unproven = [symbol for symbol in asked if symbol not in self._last]
        if for_all or not self._turns.paid or not unproven:
            self._turns.batch = 1
            self._turns.paid = self._entitled
        self._turns.alone.update(unproven)
        self._turns.put_back(asked)

    def _refuse(self, asked: tuple[str, ...], message: str) -> ProviderFault:
        self._failures = 0
        self._refused.update(asked)
        return ProviderFault(FaultKind.SYMBOL_REJECTED, message, asked[0] if asked else None)

    def _put_back(self, asked: tuple[str, ...]) -> float:
        """After an answer that is no use: ask again after a pause, longer each time; its seconds."""
        pause = min(_FIRST_PAUSE * _PAUSE_GROWS ** min(self._failures, 10), _LONGEST_PAUSE)
        self._failures += 1
        self._turns.put_back(asked, pause)
        return pause

    def _bounded(self, text: str) -> str:
        """`text` without the key, which the provider may have echoed, in whatever case."""
        cut = text[:_MAX_TEXT]
        if cut != text:
            cut = cut.rpartition(" ")[0]  # a word that was cut in two may be the key
        return bounded(self._echo.sub(MASK, cut) if self._echo else cut)


def _bulk_price(row: dict[str, Any]) -> object:
    """`close`, or outside the regular session the extended hours' quote, where there is one."""
    close, extended = row.get("close"), row.get("extended_hours_quote")
    if extended in _NOTHING:
        return close
    try:
        when = datetime.fromisoformat(str(row.get("timestamp"))).time()
    except ValueError:
        return close
    return extended if close in _NOTHING or not _OPEN <= when < _CLOSE else close


def _epoch(when: object, received_at: float) -> float | None:
    """The moment that a date or a local time means; None if it is neither."""
    if when in _NOTHING:
        return received_at
    try:
        if isinstance(when, str) and len(when) == len("2000-01-01"):
            closed = datetime.combine(date.fromisoformat(when), _CLOSE, _NEW_YORK).timestamp()
            return min(closed, received_at)
        moment = datetime.fromisoformat(when)  # type: ignore[arg-type]  # what is no text raises TypeError
        return (moment if moment.tzinfo else moment.replace(tzinfo=_NEW_YORK)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _until_next_day(now: float) -> float:
    """Seconds until the next midnight in New York, and up to a minute more: nobody knows the second of the reset.

    The fraction of the second in which the refusal came is chance enough to spread those who wait.
    """
    today = datetime.fromtimestamp(now, _NEW_YORK).date()
    midnight = datetime.combine(today + timedelta(days=1), time(), _NEW_YORK)
    return midnight.timestamp() - now + 60.0 * (now % 1.0)
