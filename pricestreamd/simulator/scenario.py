"""What a scenario is: one record of everything that a simulated provider can do wrong, and how two become one.

Every field is one thing that can go wrong, off by default. So scenarios combine field by field: what one of them says
holds, sets are united, and what two of them say about the same field is a conflict that names both. Python code may
write scenarios of its own with `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Literal

Ending = Literal["close", "eof", "reset"]
"""A close frame with `close_code`; the end of the TCP stream without one; a TCP reset."""

Group = Literal["", "dialling", "ending", "silence", "asking", "prices", "frames", "limits", "chaos"]
"""What a scenario spoils; the empty one spoils nothing."""

_ABOUT = ("name", "summary", "group", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How the provider behaves. Times are seconds, since the connection was opened where nothing else is said.

    None is never. A share of ticks is meant by `every`: that many good ones pass between two spoilt ones.
    """

    name: str
    summary: str
    group: Group = ""
    value: str | None = None
    """The field that `name:VALUE` sets."""

    # --- dialling
    refuse_status: int | None = None
    """Every upgrade is answered with this HTTP status."""
    refuse_headers: Mapping[str, str] = field(default_factory=dict)
    """What the refusal says besides."""
    retry_after: str | None = None
    """The refusal's Retry-After; `date` is an HTTP date five seconds ahead."""
    refuse_in_band: bool = False
    """The connection opens, says that the key is bad, and closes."""
    answer: Literal["upgrade", "redirect", "page", "bad-accept"] = "upgrade"
    """What an upgrade gets: what it asked for, a redirect, a page of HTML, or a wrong Sec-WebSocket-Accept."""
    upgrade_delay: float = 0.0
    """The upgrade is answered so much later."""
    crowd: int | None = None
    """Connections that one key may hold; one more, and `crowding` says who goes."""
    crowding: Literal["oldest", "newest", "both", "refuse"] = "oldest"
    """Closed are the oldest or all without a word, or the newest with 1008; or the newest gets HTTP 429."""

    # --- ending
    ends_after: float | None = None
    """The connection ends after so long, by `ending`."""
    ending: Ending = "eof"
    close_code: int = 1000
    """Code of the close frame where `ending` is `close`."""
    close_reason: str | None = None
    """Text of every close frame."""
    shutdown_after: float | None = None
    """The provider announces its shutdown, where it has words for that, and closes soon after (1001)."""
    chaos_every: float | None = None
    """A fault of some connection at random, so often in the mean."""

    # --- silence
    mute_after: float | None = None
    """From then on no prices; everything else is answered."""
    dead_after: float | None = None
    """From then on nothing is said or answered at all, and TCP stays open."""
    pongs: bool = True
    """Pings are answered."""
    pings_until: float | None = None
    """From then on no ping, heartbeat or comment of the provider."""
    torn_after: float | None = None
    """From then on as `torn` says."""
    torn: Literal["partial-frame", "huge-header", "endless-message", "ping-flood"] = "partial-frame"
    """Half a frame and silence; a header that promises 2**62 bytes; fragments without end; 200 pings a second."""

    # --- asking
    ack_delay: float | None = 0.0
    """Requests are answered, and take effect, so much later; None: never answered."""
    ack_lag: float = 0.0
    """Requests take effect at once, and are answered so much later."""
    unsubscribe_lag: float = 0.0
    """What was given up goes on for so long."""
    reject_every: int = 0
    """Every so many-th symbol, in the order in which symbols are first asked for, is refused; 0: none."""
    reject_how: Literal["fail", "error", "silent"] = "fail"
    """The symbol fails; the whole request is an error; or it is acknowledged and no price comes."""
    partial_ack: bool = False
    """Only the first half of the symbols of a request is acknowledged and takes effect."""
    null_lists: bool = False
    """Empty lists are null."""

    # --- prices
    terse: bool = False
    """Optional fields are left out, and empty lists are null."""
    sparse: bool = False
    """Optional fields come and go."""
    extra_keys: bool = False
    """Messages have keys that nobody knows."""
    price_form: Literal["usual", "text", "number", "zeros"] = "usual"
    """How prices are written; `zeros` adds zeros to the decimals."""
    odd_prices: frozenset[str] = frozenset()
    """Beside good ticks, copies of which the price is one of these JSON values."""
    incomplete: bool = False
    """Beside good ticks, copies without a price or without a symbol."""
    repeats: int = 1
    """Every tick is sent so many times."""
    shuffle: bool = False
    """One tick in five is sent three ticks late."""
    equal_times: float = 0.0
    """The times of ticks are rounded down to multiples of this."""
    lag: float = 0.0
    """For 20 s of every minute the times of ticks are so far behind; over 10 s more they catch up."""
    odd_times: bool = False
    """Beside good ticks, copies of two days ahead, of 1970, and in units a thousand times too large."""
    jump_percent: float = 0.0
    """Every 40th tick of a symbol is off by this, in one tick."""
    lose: bool = False
    """One to three ticks in a row are lost now and then: numbered, and never sent."""
    burst: int = 1
    """For one second in ten so many times the ticks."""
    strangers: bool = False
    """Beside good ticks, copies under symbols that nobody has asked for."""

    # --- frames
    noise: frozenset[str] = frozenset()
    """Between prices: `event`, `text`, `binary`, `utf8`, `big`, `deep`, `empty`, `bom` (see `spoiler`)."""
    noise_bytes: int = 5_000_000
    """Size of a big message."""
    batch: int = 1
    """Ticks in one message, where the provider's messages hold several."""
    slices: int = 0
    """Bytes written to the socket at a time; 0: all."""
    fragments: int = 0
    """Bytes in a fragment of a message; 0: whole."""

    # --- limits
    slow_reader_seconds: float = 30.0
    """A client that leaves things lying for so long is dropped."""
    small_buffers: bool = False
    """The socket holds little for a client that does not read."""
    max_symbols: int | None = None
    """Symbols per connection, other than the provider's own."""
    lifetime: float | None = None
    """Age at which the provider closes every connection, other than its own."""
    hurry: float = 1.0
    """The provider's own clocks (pings, idleness, lifetime, quotas) run so many times as fast."""
    free_plan: bool = False
    """The key is of the free plan: quotas, and no bulk requests, where the provider has such plans."""


class ScenarioConflict(ValueError):  # noqa: N818 - it reads better where it is caught
    """Two scenarios cannot be had together."""


def combine(scenarios: Sequence[Scenario]) -> Scenario:
    """One scenario that does what all of them do. Needs one at least.

    Raises:
        ScenarioConflict: two of them say something about the same thing; the message names both.
    """
    first, *others = scenarios
    whole = first
    owners = dict.fromkeys(_said(first), first.name)
    for other in others:
        for name, value in _said(other).items():
            there = getattr(whole, name)
            if name in owners and isinstance(value, frozenset):
                value = there | value  # noqa: PLW2901 - the union takes its place
            elif name in owners:
                raise ScenarioConflict(
                    f"the scenarios {owners[name]} and {other.name} cannot be combined: "
                    f"both set {name.replace('_', ' ')!r}"
                )
            owners[name] = other.name
            whole = replace(whole, **{name: value})
    if not others:
        return whole
    summary = "; ".join(scenario.summary for scenario in scenarios)
    return replace(whole, name="+".join(scenario.name for scenario in scenarios), summary=summary, group="", value=None)


def _said(scenario: Scenario) -> dict[str, Any]:
    """The fields in which a scenario differs from one without any fault."""
    return {
        known.name: getattr(scenario, known.name)
        for known in fields(Scenario)
        if known.name not in _ABOUT and getattr(scenario, known.name) != _default(known)
    }


def _default(known: Field[Any]) -> Any:
    return known.default_factory() if callable(known.default_factory) else known.default
