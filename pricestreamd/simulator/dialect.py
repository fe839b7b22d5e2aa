"""What a simulated provider must be able to say: the contract between the server and a provider's dialect.

A dialect is plain code: texts, requests and `now` in, texts out. Sockets, timers and scripted faults are the server's
business, so a further provider is one file beside `twelvedata.py` and one line in `dialects.py`.

A provider speaks on one or more *faces*: a WebSocket, a stream of server-sent events, or answers to plain requests.
Prices are told by *voices*: a voice is one form of telling (of trades, of summaries, wrapped or not), and a client
listens to some voices, each for some instruments. Instruments are named by *keys*: one key, one instrument.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol

from pricestreamd.model.tick import Tick
from pricestreamd.simulator.scenario import Scenario
from pricestreamd.simulator.scenario_list import STEADY

Face = Literal["websocket", "events", "request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the provider allows, and its habits. None: no limit, or no such habit. Times in seconds."""

    connections_per_key: int | None = None
    """One more, and the oldest is closed without a word."""
    connects: int | None = None
    """Upgrades within `connects_window`; one more is refused."""
    connects_window: float = 300.0
    messages_per_minute: int | None = None
    """Messages of a client beyond that are answered by an error and have no effect."""
    messages_per_second: int | None = None
    """Messages, pings and pongs of a client; one more ends the connection."""
    idle_timeout: float | None = None
    """A client that says nothing for so long is dropped."""
    lifetime: float | None = None
    """The age at which a connection is closed."""
    ping_every: float | None = None
    """The server's own sign of life: a ping, or a comment."""
    pong_within: float | None = None
    """A client that leaves a ping unanswered for so long is closed."""
    max_symbols: int | None = None
    """Symbols per connection, or streams where the provider counts these."""
    max_message_size: int = 1_000_000
    """Bytes of a client's message; a larger one ends the connection (1009)."""
    max_url: int | None = None
    """Characters of a request's address."""
    requests_per_second: int | None = None
    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    """Plain requests of one key."""

    def under(self, scenario: Scenario) -> Limits:
        """As a scenario makes them."""
        changed = self
        if scenario.hurry != 1.0:
            names = ("connects_window", "idle_timeout", "lifetime", "ping_every", "pong_within")
            times = {name: value / scenario.hurry for name in names if (value := getattr(self, name)) is not None}
            changed = replace(changed, **times)
        if scenario.max_symbols is not None:
            changed = replace(changed, max_symbols=scenario.max_symbols)
        if scenario.lifetime is not None:
            changed = replace(changed, lifetime=scenario.lifetime)
        if scenario.crowd is not None:
            changed = replace(changed, connections_per_key=scenario.crowd)
        return changed


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for. `parts`: what the variable parts of the path hold; `length`: of the whole address."""

    path: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    length: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A plain HTTP answer."""

    body: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class Fields(NamedTuple):
    """What the fields of a price are called, and which may be left out, besides the volume."""

    price: str
    symbol: str
    time: str | None = None
    volume: str | None = None
    optional: tuple[str, ...] = ()


class Voice(ABC):
    """One form of telling prices. Equal only to itself: what it says is made once for all who hear it."""

    fields: Fields
    every: float = 0.0
    """0: each tick is told. Else the newest of each instrument, so often."""
    gathers: Literal["never", "may", "always"] = "never"
    """Whether one message can hold several ticks, and whether it always holds all there are."""

    @abstractmethod
    def items(self, ticks: Sequence[Tick], ids: Sequence[int]) -> list[str]:
        """Each tick, in ASCII. `ids`: their numbers among the ticks of their symbols, if the dialect is `numbered`."""

    def message(self, items: Sequence[str]) -> str:
        """One message of these items; of one, unless it `gathers`."""
        return items[0]

    def texts(self, ticks: Sequence[Tick], ids: Sequence[int]) -> list[str]:
        """A message for each tick."""
        return self.items(ticks, ids)


class Channel(NamedTuple):
    """What a client hears: prices of `keys`, told by `voice`."""

    voice: Voice
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """One text for the client. `listens`: what it hears from this reply on; None: as before."""

    text: str | None = None
    listens: tuple[Channel, ...] | None = None
    close: tuple[int, str] | None = None
    """The connection ends, with this code and reason, after the text."""
    heartbeat: bool = False
    """The text is a sign of life and nothing else."""
    snapshot: bool = False
    """What is known of all that is heard from now on is told at once."""

    @property
    def subscribed(self) -> tuple[str, ...] | None:
        """The keys of which prices are heard from this reply on; None: as before."""
        return None if self.listens is None else keys_of(self.listens)


def keys_of(channels: Sequence[Channel]) -> tuple[str, ...]:
    """The keys of all channels, each once."""
    return tuple(dict.fromkeys(key for channel in channels for key in channel.keys))


class Session(ABC):
    """One connection's side of the conversation. `now`: seconds of any clock that never goes back."""

    def opened(self) -> list[Reply]:
        """What is said, or holds, as soon as the connection is open."""
        return []

    def heard(self, now: float) -> Reply | None:  # noqa: ARG002 - for sessions that count
        """A message or a ping or a pong has come: the complaint, if it is one too many; it then has no effect."""
        return None

    @abstractmethod
    def receive(self, text: str, now: float) -> list[Reply]:
        """Answer a message of the client, whatever it is."""

    def farewell(self, now: float) -> str | None:  # noqa: ARG002 - for sessions to override
        """What is said before the server shuts down; None: nothing. `now`: epoch seconds."""
        return None


class Quotes(Protocol):
    """Where answers to plain requests take prices from, and the time of day."""

    def now(self) -> float:
        """Epoch seconds."""

    def last(self, key: str) -> Tick | None:
        """The last price of an instrument; None where there is none yet."""


class Dialect(ABC):
    """One provider: its addresses, its words, its limits."""

    faces: Mapping[str, Face]
    """Path patterns on which the server answers (`{name}` is a variable part), and how."""
    address: str
    """The path to connect to."""
    numbered = False
    """Whether ticks carry their number among the ticks of their symbol."""
    usual: Limits = Limits()
    """The provider's own limits."""
    answer_fields: tuple[Fields, ...] = ()
    """What the fields of a price are called in plain answers; the first whose price is there counts."""
    sole_voice: Voice | None = None
    """The voice that everybody hears, if there is only one."""

    def __init__(self, scenario: Scenario = STEADY, limits: Limits | None = None, *, ledger: bool = False) -> None:
        self._limits = limits or self.usual
        self.ledger = ledger
        self.switch(scenario)

    def switch(self, scenario: Scenario) -> None:
        """Behave by another scenario from now on."""
        self.scenario = scenario
        self.limits = self._limits.under(scenario)
        self.choosy = Choosy(scenario.reject_every)

    @property
    def face(self) -> Face:
        """How it is spoken to at its address."""
        return self.faces[self.address]

    def credential(self, request: Request) -> str | None:  # noqa: ARG002 - for dialects to override
        """The key that a request carries, empty if none; None where the provider asks nobody for one."""
        return None

    @abstractmethod
    def refusal(self, status: int, key: str = "") -> Answer:
        """How a request is refused; `status` says why, as HTTP has it, whatever the provider makes of it."""

    def refusal_in_band(self) -> str:
        """The message that refuses a key after the connection is open."""
        return self.refusal(401).body

    def session(self, request: Request) -> Session | Answer:  # noqa: ARG002 - for dialects to override
        """A new conversation, or why there is none."""
        return Answer(status=404)

    def answer(self, request: Request, quotes: Quotes, now: float) -> Answer:  # noqa: ARG002 - for dialects to override
        """Answer a plain request. `now`: seconds of any clock that never goes back."""
        return Answer(status=404)

    @abstractmethod
    def key(self, symbol: str) -> str | None:
        """The key of the instrument that `symbol` names, in any spelling; None where it cannot name one."""

    def note(self, ticks: Sequence[Tick]) -> None:  # noqa: B027 - most dialects take no notice
        """These ticks have happened, whether or not anybody hears of them: told to those that are `numbered`."""

    def sign_of_life(self, now: float) -> str:  # noqa: ARG002 - for dialects to override
        """The payload of a ping, or the text of a comment. `now`: epoch seconds."""
        return ""

    def stranger(self) -> str:
        """A message of a kind that no client knows."""
        return '{"event":"maintenance-notice","level":3,"detail":{"from":null}}'


class Choosy:
    """Which symbols are refused: every so many-th, in the order in which symbols are first asked for; 0: none."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._asked_for: dict[str, int] = {}

    def refuses(self, key: str) -> bool:
        """Whether this one is: always the same answer."""
        if not self._every:
            return False
        return (self._asked_for.setdefault(key, len(self._asked_for)) + 1) % self._every == 0


class Budget:
    """Counts what came within a rolling window of `seconds`."""

    def __init__(self, allowed: int | None, seconds: float) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._times: list[float] = []

    def spent(self, now: float) -> bool:
        """Whether one more is too many; if not, it counts."""
        if self._allowed is None:
            return False
        self._times = [at for at in self._times if now - at < self._seconds]
        if len(self._times) >= self._allowed:
            return True
        self._times.append(now)
        return False
