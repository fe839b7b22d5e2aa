"""The named scenarios, in the order in which they are listed. A scenario is data: add one by writing it here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pricestreamd.simulator.scenario import Group, Scenario

STEADY = Scenario(name="steady", summary="nothing goes wrong")

CLOSE_REASONS = {
    1000: "bye",
    1001: "going away",
    1008: "policy violation",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
}
"""Why a connection is closed, for the codes that are scenarios."""

_PRICE_TEXTS = frozenset({'"1,234.5"', '""', '" "', '"12.5 USD"', '"0x10"', '"1_000"'})
_WRONG_TYPES = frozenset({"null", "true", "[]", "{}", "18446744073709551616"})


def _all() -> Iterator[Scenario]:
    yield STEADY
    yield from _ending()
    yield from _silence()
    yield from _dialling()
    yield from _asking()
    yield from _prices()
    yield from _frames()
    yield from _limits()
    yield _scenario("chaos", "chaos", "every 3 s in the mean a connection is lost in some way", "chaos_every", 3.0)


def _scenario(
    group: Group, name: str, summary: str, value: str | None = None, usual: Any = None, **more: Any
) -> Scenario:
    """A scenario; `value` is the field that `name:VALUE` sets, `usual` what it is without."""
    said = more if value is None else {value: usual, **more}
    return Scenario(name=name, summary=summary, group=group, value=value, **said)


def _dialling() -> Iterator[Scenario]:
    def refusal(name: str, summary: str, status: int, **more: Any) -> Scenario:
        return _scenario("dialling", name, summary, refuse_status=status, **more)

    def crowd(name: str, summary: str, who: Literal["oldest", "newest", "both", "refuse"]) -> Scenario:
        return _scenario("dialling", name, f"of two connections with one key {summary}", "crowd", 1, crowding=who)

    yield refusal("bad-key", "the key is refused: HTTP 401", 401)
    yield refusal("forbidden", "the plan does not cover streaming: HTTP 403", 403)
    yield refusal("bad-request", "the upgrade is refused: HTTP 400", 400)
    yield _scenario(
        "dialling", "bad-key-in-band", "the key is refused after the connection is open", refuse_in_band=True
    )
    yield refusal("too-many-requests", "the upgrade is refused: HTTP 429, Retry-After 5", 429, retry_after="5")
    yield refusal("unavailable", "the upgrade is refused: HTTP 503", 503)
    yield _scenario("dialling", "refuse", "the upgrade is refused: HTTP 500", "refuse_status", 500)
    yield _scenario(
        "dialling",
        "retry-after",
        "the upgrade is refused: HTTP 503, with a Retry-After that is a date, or as given",
        "retry_after",
        "date",
        refuse_status=503,
    )
    yield _scenario("dialling", "redirect", "the upgrade is answered by a redirect (302)", answer="redirect")
    yield _scenario("dialling", "captive-portal", "the upgrade is answered by a page of HTML (200)", answer="page")
    yield _scenario("dialling", "bad-accept", "the upgrade is answered by a wrong signature", answer="bad-accept")
    yield _scenario("dialling", "slow-handshake", "the upgrade is answered after an hour", "upgrade_delay", 3600.0)
    yield crowd("kill-oldest", "the older is closed without a word", "oldest")
    yield crowd("kill-newest", "the newer is closed (1008)", "newest")
    yield crowd("kill-both", "both are closed without a word", "both")
    yield crowd("refuse-newest", "the newer is refused: HTTP 429", "refuse")


def _ending() -> Iterator[Scenario]:
    def ends(name: str, summary: str, after: float = 10.0, **more: Any) -> Scenario:
        return _scenario("ending", name, summary, "ends_after" if after else None, after, **more)

    yield ends("drop", "every connection is dropped after 10 s, without a close frame")
    yield ends("goodbye", "every connection is closed after 10 s, politely (1001)", ending="close", close_code=1001)
    yield ends("reset", "every connection is reset after 10 s (TCP RST)", ending="reset")
    yield _scenario(
        "ending",
        "accept-then-close",
        "every connection is accepted and closed at once (1000)",
        ends_after=0.0,
        ending="close",
    )
    yield _scenario("ending", "accept-then-drop", "every connection is accepted and dropped at once", ends_after=0.0)
    yield ends("close-1006", "every connection ends after 10 s so that its client sees 1006: no close frame")
    for code, why in CLOSE_REASONS.items():
        yield ends(
            f"close-{code}", f"every connection is closed after 10 s: {code} ({why})", ending="close", close_code=code
        )
    yield ends("close-4001", "every connection is closed after 10 s: 4001", ending="close", close_code=4001)
    yield _scenario("ending", "with-reason", "close frames carry a reason", "close_reason", "usual")
    yield _scenario(
        "ending",
        "server-shutdown",
        "after 10 s the provider says that it shuts down, where it can, and closes",
        "shutdown_after",
        10.0,
    )
    yield _scenario("ending", "lifetime", "the provider closes every connection at the age of 30 s", "lifetime", 30.0)


def _silence() -> Iterator[Scenario]:
    def silence(name: str, summary: str, value: str | None = None, usual: Any = None, **more: Any) -> Scenario:
        return _scenario("silence", name, summary, value, usual, **more)

    yield silence("mute", "pings and requests are answered, but no price ever comes", "mute_after", 0.0)
    yield silence("black-hole", "after 3 s neither prices nor answers to pings", "mute_after", 3.0, pongs=False)
    yield silence("half-open", "after 3 s nothing is said or answered, and TCP stays open", "dead_after", 3.0)
    yield silence(
        "ping-only-then-mute",
        "signs of life without a price for 10 s, then nothing at all",
        "dead_after",
        10.0,
        mute_after=0.0,
    )
    yield silence("pings-stop", "after 3 s the provider's own signs of life stop, not its prices", "pings_until", 3.0)
    yield silence("no-pong", "pings are not answered", pongs=False)
    yield silence("partial-frame", "after 3 s half a message, and then nothing", "torn_after", 3.0)


def _asking() -> Iterator[Scenario]:
    def asking(name: str, summary: str, value: str | None = None, usual: Any = None, **more: Any) -> Scenario:
        return _scenario("asking", name, summary, value, usual, **more)

    yield asking("slow-ack", "requests are answered, and take effect, 5 s later", "ack_delay", 5.0)
    yield asking("no-ack", "requests are never answered and take no effect", ack_delay=None)
    yield asking("ack-after-data", "requests take effect at once and are answered 1 s later", "ack_lag", 1.0)
    yield asking("reject-some", "every third symbol is refused", "reject_every", 3)
    yield asking(
        "error-some", "a request with an unknown symbol is an error; every third is one", "reject_every", 3,
        reject_how="error",
    )  # fmt: skip
    yield asking(
        "silent-some", "every third symbol is acknowledged, and no price comes", "reject_every", 3,
        reject_how="silent",
    )  # fmt: skip
    yield asking("partial-ack", "of each request the first half is acknowledged, the rest forgotten", partial_ack=True)
    yield asking("null-lists", "empty lists are null", null_lists=True)
    yield asking("late-unsubscribe", "what was given up goes on for 2 s", "unsubscribe_lag", 2.0)


def _prices() -> Iterator[Scenario]:
    def prices(name: str, summary: str, value: str | None = None, usual: Any = None, **more: Any) -> Scenario:
        return _scenario("prices", name, summary, value, usual, **more)

    not_finite = frozenset({"NaN", "Infinity", "-Infinity", "1e400"})
    yield prices("terse", "optional fields are left out, empty lists are null", terse=True)
    yield prices("missing-fields", "optional fields come and go", sparse=True)
    yield prices("extra-keys", "messages have keys that nobody knows", extra_keys=True)
    yield prices("text-prices", "prices are text", price_form="text")
    yield prices("number-prices", "prices are numbers", price_form="number")
    yield prices("trailing-zeros", "prices end in zeros", price_form="zeros")
    yield prices("not-finite", "some prices are NaN, infinite or 1e400", odd_prices=not_finite)
    yield prices("not-positive", "some prices are zero or negative", odd_prices=frozenset({"0", "-0.0", "-12.5"}))
    yield prices("price-texts", "some prices are texts such as 1,234.5", odd_prices=_PRICE_TEXTS)
    yield prices("wrong-types", "some prices are null, true, a list or above 2**64", odd_prices=_WRONG_TYPES)
    yield prices("incomplete", "some messages lack the price or the symbol", incomplete=True)
    yield prices("bad-prints", "one tick in 40 jumps by 40 % and the next is back", "jump_percent", 40.0)
    yield prices("duplicates", "every tick comes three times", "repeats", 3)
    yield prices("out-of-order", "one tick in five comes three ticks late", shuffle=True)
    yield prices("equal-times", "ticks of five seconds have the same time", "equal_times", 5.0)
    yield prices("delayed", "times are 5 min behind for 20 s of every minute, and then catch up", "lag", 300.0)
    yield prices("odd-times", "some times are of next week, of 1970 or in another unit", odd_times=True)
    yield prices("gaps", "ticks are lost now and then; where ticks are numbered, it shows", lose=True)
    yield prices("burst", "for one second in ten 100 times the ticks", "burst", 100)
    yield prices("strangers", "prices of symbols that nobody has asked for", strangers=True)


def _frames() -> Iterator[Scenario]:
    def frames(name: str, summary: str, value: str | None = None, usual: Any = None, **more: Any) -> Scenario:
        return _scenario("frames", name, summary, value, usual, **more)

    yield frames("batch", "1,000 ticks in one message (iex, generic)", "batch", 1000)
    yield frames("big-frame", "a message of 5 MB now and then", "noise_bytes", 5_000_000, noise=frozenset({"big"}))
    yield frames("unknown-events", "messages of unknown kinds between the prices", noise=frozenset({"event"}))
    yield frames("not-json", "messages that are no JSON between the prices", noise=frozenset({"text", "empty", "bom"}))
    yield frames("deep", "JSON nested 100,000 deep between the prices", noise=frozenset({"deep"}))
    yield frames("binary", "binary messages between the prices", noise=frozenset({"binary"}))
    yield frames("bad-utf8", "texts that are not UTF-8 between the prices", noise=frozenset({"utf8"}))
    yield frames("split", "messages arrive in pieces of 7 bytes", "slices", 7)
    yield frames("fragmented", "messages come in fragments of 40 bytes", "fragments", 40)
    yield frames(
        "huge-header", "after 3 s a message of 2**62 bytes is announced", "torn_after", 3.0, torn="huge-header"
    )
    yield frames("endless-message", "after 3 s one message that never ends", "torn_after", 3.0, torn="endless-message")
    yield frames("ping-flood", "after 3 s 200 pings a second", "torn_after", 3.0, torn="ping-flood")


def _limits() -> Iterator[Scenario]:
    def limits(name: str, summary: str, value: str | None = None, usual: Any = None, **more: Any) -> Scenario:
        return _scenario("limits", name, summary, value, usual, **more)

    yield limits("over-cap", "8 symbols per connection", "max_symbols", 8)
    yield limits("free-plan", "the key is of the free plan: quotas, no bulk requests (alphavantage)", free_plan=True)
    yield limits(
        "slow-reader", "a client that leaves things lying for 2 s is dropped", "slow_reader_seconds", 2.0,
        small_buffers=True,
    )  # fmt: skip
    yield limits("hurry", "the provider's own clocks run 20 times as fast: pings, idleness, lifetime", "hurry", 20.0)


SCENARIOS = {scenario.name: scenario for scenario in _all()}
"""All of them, by name."""
