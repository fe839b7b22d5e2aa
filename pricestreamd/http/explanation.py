"""An explanation as sentences that a person understands: why did it fire, or why not.

All times in it are told by one clock: UTC, and how long ago that was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from shlex import quote

from pricestreamd.http.control import DeliveryTried, PastFiring
from pricestreamd.http.delivery_control import OwedDelivery
from pricestreamd.model.ages import ago, ahead, utc
from pricestreamd.sinks.not_yet import COUNTED
from pricestreamd.stream.alert_rule import exact
from pricestreamd.stream.alerts.explain import AlertExplanation, TermExplanation, TriggerExplanation

_STATES = {
    "armed": "waits for its condition",
    "firing": "has fired, and its condition is still true",
    "cooling": "has fired, and its cooldown lasts",
    "done": "is done: it has fired, and was to fire once",
    "blind": "is blind",
    "expired": "has expired",
    "waiting": "cannot fire now",
}
# State: how the reason for it begins, and what the state is called together with the rest of that.
_REASONED = {
    "cooling": ("its cooldown lasts ", "has fired, and its cooldown lasts "),
    "blind": ("it is blind: ", "is blind: "),
    "expired": ("it expired ", "expired "),
    "waiting": ("it is not ", "cannot fire now: it is not "),
}
_NO_PRICE = "there is no price yet"
_FIRED = "has fired, and has to be false first"
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\+00:00)?(?: UTC|Z)?")
# How the text of a firing ends: by the clock of its market.
_MARKET_TIME = re.compile(r" at \d\d:\d\d:\d\d (?:UTC|New York)$")
_BACK = re.compile(r"(back to -?[\d.]*\d)")
_TOLD_EVALUATIONS = 3


def sentences(told: AlertExplanation, now: float) -> list[str]:
    """Where the alert stands for one symbol, what each condition lacks, what holds it back, and what it has done.

    `now` in epoch seconds.
    """
    price = f"the last price is {exact(told['price'])}" if told["price"] is not None else _NO_PRICE
    at = f" of {stamp(told['timestamp'], now)}" if told["timestamp"] is not None else ""
    of_conditions: dict[str, list[str]] = {trigger["reason"]: [] for trigger in told["triggers"]}
    of_alert = []
    for reason in told["suppressed_by"] if told["state"] != "done" else ():
        condition, _, rest = reason.partition(": ")
        if condition in of_conditions:
            of_conditions[condition].append(rest)
        elif reason != _NO_PRICE:
            of_alert.append(reason)
    state = _state(told, of_alert)
    lines = [f"{told['symbol']}: {state}; {price}{at}."]
    for trigger in told["triggers"]:
        lines += _trigger(trigger, of_conditions[trigger["reason"]], told["price"], now)
    lines += map(_sentence, of_alert)
    if told["held_back"]:
        lines.append(f"Its cooldown has held back {_times(told['held_back'], 'firing')}.")
    lines.append(f"It has fired {_times(told['firings'], 'time')}." if told["firings"] else "It has never fired.")
    return [_TIME.sub(r"\1 \2Z", line) for line in lines]


def delivery_sentences(firings: Iterable[PastFiring], now: float, *, log_only: bool) -> list[str]:
    """What became of the last firings at the sinks, as of the last attempt at each; `now` in epoch seconds.

    `log_only`: the alert goes to no sink that keeps account of what was delivered.
    """
    lines = []
    for firing in firings:
        text = _MARKET_TIME.sub("", str(firing["event"].get("alert_text") or firing["firing_id"]))
        last = {one["sink"]: one for one in firing["deliveries"]}
        owed = {one["sink"]: one for one in firing["owed"]}
        said: dict[str, list[str]] = {word: [] for word in (*_RESULTS.values(), _COUNTED)}
        for sink in dict.fromkeys((*last, *owed)):
            if sink in owed:
                said[_RESULTS["dead" if owed[sink]["state"] == "dead" else "retry"]].append(_owing(owed[sink], now))
            else:
                said[_word(last[sink])].append(_done(last[sink]))
        told = [f"{word} {', '.join(some)}." for word, some in said.items() if some]
        none = "It went to the log only." if log_only else "No attempt to deliver it is noted."
        memory = "" if firing["durable"] else "Not written to the disk yet, so it is delivered from memory. "
        lines.append(f"{stamp(firing['timestamp'], now)}: {text}. {memory}{' '.join(told) or none}")
    return lines


_RESULTS = {"delivered": "Delivered to", "retry": "Not yet delivered to", "dead": "Given up for"}
_COUNTED = "Counted for the next message to"


def _word(one: DeliveryTried) -> str:
    return _COUNTED if one["error"] == COUNTED else _RESULTS[one["result"]]


def _done(one: DeliveryTried) -> str:
    """A sink that owes nothing more, and what came of it."""
    if one["error"] == COUNTED:
        return one["sink"]
    delivered = one["result"] == "delivered"
    attempts = _times(one["attempts"], "attempt") if one["attempts"] > 1 or not delivered else ""
    told = ": ".join(part for part in (attempts, one["error"]) if part)
    told += "" if delivered else "; dropped since"
    return f"{one['sink']} ({told})" if told else one["sink"]


def _owing(one: OwedDelivery, now: float) -> str:
    """A sink that owes it still: how often it was tried, and what comes next."""
    attempts = _times(one["attempts"], "attempt") if one["attempts"] else "not tried yet"
    if one["last_error"]:
        attempts = f"{attempts if one['attempts'] else 'tried before'}: {one['last_error']}"
    retry = f"pricestreamd outbox retry {one['id'] or '--sink ' + quote(one['sink'])}"
    after = ahead((now if one["next_attempt_at"] is None else one["next_attempt_at"]) - now)
    following = {
        "waiting": f"the next attempt {after}",
        "put_off": f"its sink puts it off, the next attempt {after}",
        "stopped": f"its sink is stopped; {retry} starts it again",
        "unclaimed": "no sink of that name is configured",
        "dead": f"{retry} tries it again",
    }
    return f"{one['sink']} ({attempts}; {following[one['state']]})"


def stamp(timestamp: float, now: float) -> str:
    """A time in UTC, and how long ago it was; of what no calendar knows the number alone."""
    told = utc(timestamp)
    return f"{told} ({ago(now - timestamp)})" if told.endswith("Z") else told


def _state(told: AlertExplanation, reasons: list[str]) -> str:
    """Where it stands, with the reason that this has, which is taken out of `reasons`."""
    state = told["state"]
    fired = [trigger["terms"] for trigger in told["triggers"] if trigger["state"] == "firing"]
    if state == "firing" and not any(all(term["true"] for term in terms) for terms in fired):
        return "has fired, and has not gone back far enough to fire again"
    begin, words = _REASONED.get(state, ("", ""))
    found = next((reason for reason in reasons if begin and reason.startswith(begin)), None)
    if found is None:
        return _STATES[state]
    reasons.remove(found)
    return f"{words}{found.removeprefix(begin)}"


def _trigger(trigger: TriggerExplanation, reasons: list[str], price: float | None, now: float) -> list[str]:
    """Its conditions, each with what holds it back, and what came out last, newest first."""
    terms = trigger["terms"]
    if len(terms) == 1:
        lines = [_sentence(_held_back(terms[0], reasons, price))]
    else:
        known = {term["unknown"] for term in terms}
        lines = [_sentence(f"{_words(term['condition'])}: {_said(term, price)}") for term in terms]
        all_of = f"{_words(trigger['reason'])}, together"
        lines += [_sentence(f"{all_of}: {reason}") for reason in reasons if reason not in known] or [
            _sentence(f"{all_of}: all of them have to be true")
        ]
    newest = reversed(trigger["evaluations"][-_TOLD_EVALUATIONS:])
    lines += [
        f"{stamp(one['timestamp'], now)}, {exact(one['price'])}: {one['outcome'].replace('_', ' ')}." for one in newest
    ]
    return lines


def _held_back(term: TermExplanation, reasons: list[str], price: float | None) -> str:
    """One condition that fires by itself, with what holds it back."""
    words = _words(term["condition"])
    reason = next((one for one in reasons if one != term["unknown"]), None)
    if reason is None:
        return f"{words}: {_said(term, price)}"
    if not reason.startswith(_FIRED):
        # It says that the condition is true, and more.
        return f"{words}: {reason}"
    back = _back(term, reason)
    if term["true"] is False and back:
        return f"{words}: not true any more, and has to go {back} before it can fire again"
    return f"{words}: {_said(term, price, where=False)}; it {_FIRED}{f': {back}' if back else ''}"


def _back(term: TermExplanation, reason: str) -> str:
    """How far the value has to go to let it fire again."""
    back = reason.removeprefix(_FIRED).removeprefix(": ")
    if back:
        return _BACK.sub(r"\1 %", back) if _is_move(term) else back
    for kind, other in (("price_above", "below"), ("price_below", "above")):
        if term["condition"].startswith(kind):
            return f"{other} {exact(term['threshold'])}"
    return ""


def _said(term: TermExplanation, price: float | None, *, where: bool = True) -> str:
    """Whether it is true, by which value, and at which prices (`where`) it would be."""
    if term["unknown"] is not None:
        return f"not known, for {term['unknown']}"
    if term["true"] is None or term["value"] is None:
        return "not looked at yet"
    true = "true" if term["true"] else "not true"
    prices = sorted(term["trigger_prices"], key=lambda one: abs(one - (price or 0.0)))
    at = ""
    if where and not term["true"] and prices and price:
        at = " or ".join(f"{exact(round(one, 8))} ({100 * (one - price) / price:+.2f} %)" for one in prices)
    if term["condition"].startswith("trailing") and term["baseline"] is not None:
        extreme = "below its high of" if term["threshold"] > 0 else "above its low of"
        moved = f"{abs(term['value']):.2f} % {extreme} {exact(round(term['baseline'], 8))}"
        return f"{true}, {moved}; fires from {exact(abs(term['threshold']))} %{f', at {at}' if at else ''}"
    value = "" if term["condition"].startswith("price") else f" ({_value(term, term['value'])})"
    return f"{true}{value}{f'; it would be at {at}' if at else ''}"


def _value(term: TermExplanation, value: float) -> str:
    if not _is_move(term):
        return f"{exact(round(value, 6))} now"
    since = "" if term["baseline"] is None else f" from {exact(round(term['baseline'], 8))}"
    return f"{value:+.2f} %{since}"


def _is_move(term: TermExplanation) -> bool:
    return term["condition"].startswith(("change_percent", "trailing"))


def _words(reason: str) -> str:
    """`price_above_200.00+price_below_9.00` as a person says it."""
    return reason.replace("_", " ").replace("+", " and ")


def _times(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
