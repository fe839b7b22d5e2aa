"""Named misbehaviour: what the simulated provider does to whoever connects. A scenario is data; add one by writing it.

Every field is one thing that can go wrong, off by default, so that scenarios combine by `dataclasses.replace`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Literal

Ending = Literal["close", "eof", "reset"]
"""A close frame with `close_code`; the end of the TCP stream without one; a TCP reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How the provider behaves. Times in seconds since the connection was opened, None for never."""

    name: str
    summary: str
    refuse_status: int | None = None
    """Every upgrade is answered with this HTTP status."""
    refuse_headers: dict[str, str] = field(default_factory=dict)
    """What the refusal says besides, such as Retry-After."""
    refuse_in_band: bool = False
    """The connection opens, says that the key is bad, and closes."""
    ends_after: float | None = None
    """The connection ends after so long, by `ending`."""
    ending: Ending = "eof"
    close_code: int = 1000
    """Code of the close frame where `ending` is `close`."""
    mute_after: float | None = None
    """From then on no prices; everything else is answered."""
    pongs: bool = True
    """Pings are answered."""
    ack_delay: float | None = 0.0
    """Requests are answered, and take effect, so much later; None: never answered."""
    reject_every: int = 0
    """Every so many-th symbol, in the order in which symbols are first asked for, is refused; 0: none."""
    slow_reader_seconds: float = 30.0
    """A client that takes nothing for so long, while there is something to take at full rate, is dropped."""
    terse: bool = False
    """Optional fields are left out, and empty lists are null."""


_ALL = (
    Scenario(name="steady", summary="nothing goes wrong"),
    Scenario(name="drop", summary="every connection is dropped after 10 s, without a close frame", ends_after=10.0),
    Scenario(
        name="goodbye",
        summary="every connection is closed after 10 s, politely (1001)",
        ends_after=10.0,
        ending="close",
        close_code=1001,
    ),
    Scenario(name="reset", summary="every connection is reset after 10 s (TCP RST)", ends_after=10.0, ending="reset"),
    Scenario(
        name="accept-then-close",
        summary="every connection is accepted and closed at once (1000)",
        ends_after=0.0,
        ending="close",
    ),
    Scenario(name="mute", summary="pings and requests are answered, but no price ever comes", mute_after=0.0),
    Scenario(
        name="black-hole",
        summary="after 3 s neither prices nor answers to pings",
        mute_after=3.0,
        pongs=False,
    ),
    Scenario(name="slow-ack", summary="requests are answered, and take effect, 5 s later", ack_delay=5.0),
    Scenario(name="no-ack", summary="requests are never answered and take no effect", ack_delay=None),
    Scenario(name="reject-some", summary="every third symbol is refused", reject_every=3),
    Scenario(name="terse", summary="optional fields are left out, empty lists are null", terse=True),
    Scenario(name="bad-key", summary="the key is refused: HTTP 401", refuse_status=401),
    Scenario(name="forbidden", summary="the plan does not cover streaming: HTTP 403", refuse_status=403),
    Scenario(name="bad-request", summary="the upgrade is refused: HTTP 400", refuse_status=400),
    Scenario(name="bad-key-in-band", summary="the key is refused after the connection is open", refuse_in_band=True),
    Scenario(
        name="too-many-requests",
        summary="the upgrade is refused: HTTP 429, Retry-After 5",
        refuse_status=429,
        refuse_headers={"Retry-After": "5"},
    ),
    Scenario(name="unavailable", summary="the upgrade is refused: HTTP 503", refuse_status=503),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
STEADY = SCENARIOS["steady"]


class UnknownScenario(ValueError):  # noqa: N818 - it reads better where it is caught
    """There is no scenario of that name."""


def find_scenario(name: str) -> Scenario:
    """The scenario `name`.

    Raises:
        UnknownScenario: there is none; the message names the nearest one, or all.
    """
    found = SCENARIOS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, SCENARIOS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(SCENARIOS)}"
        raise UnknownScenario(f"unknown scenario {name!r}: {hint}")
    return found


def listing() -> str:
    """All scenarios, one a line, as `--list-scenarios` prints them."""
    width = max(map(len, SCENARIOS))
    return "\n".join(f"{known.name:{width}}  {known.summary}" for known in _ALL)
