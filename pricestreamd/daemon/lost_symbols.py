"""Which alerts have lost their symbols? A decision, without effects, for whatever takes symbols away."""

from __future__ import annotations

from collections.abc import Iterable

from pricestreamd.model.tick import symbol_key
from pricestreamd.stream.alert_rule import AlertRule, is_glob

# Symbols that one sentence names.
_NAMED = 5


def lost_symbols(rules: Iterable[AlertRule], before: Iterable[str], after: Iterable[str]) -> list[str]:
    """A sentence for each alert that could fire while feeds had the symbols `before`, and with those `after` cannot.

    One that goes on for other symbols is told of for those that it names. What a glob has lost is nobody's mistake, as
    long as it matches something.
    """
    kept = {symbol_key(symbol) for symbol in after}
    gone = {key: symbol for symbol in before if (key := symbol_key(symbol)) not in kept}
    if not gone:
        return []
    told = []
    for rule in rules:
        lost = [symbol for key, symbol in gone.items() if rule.covers(key)]
        if not lost:
            continue
        if not any(map(rule.covers, kept)):
            told.append(f"{rule.alert_id} cannot fire any more: no feed has {_names(lost)} now")
            continue
        named = {symbol_key(pattern) for pattern in rule.patterns if not is_glob(pattern)}
        if missed := [symbol for symbol in lost if symbol_key(symbol) in named]:
            told.append(f"{rule.alert_id} cannot fire for {_names(missed)} any more: no feed has it now")
    return told


def _names(symbols: list[str]) -> str:
    more = f" and {len(symbols) - _NAMED} more" if len(symbols) > _NAMED else ""
    return f"{', '.join(symbols[:_NAMED])}{more}"
