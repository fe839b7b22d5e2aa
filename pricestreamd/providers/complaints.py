"""What a provider's complaint is about, by its words, and how much of them is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pricestreamd.model.secret import redact
from pricestreamd.providers.base import FaultKind

_MAX_TEXT = 200

Words = Iterable[tuple[re.Pattern[str], FaultKind]]
"""What words mean; the first pattern that is found counts."""


def kind_of(text: str, words: Words) -> FaultKind:
    """What `text` complains about."""
    return next((kind for pattern, kind in words if pattern.search(text)), FaultKind.TRANSIENT)


def bounded(text: str) -> str:
    """The beginning of a text from outside, without secrets."""
    return redact(text[: 4 * _MAX_TEXT])[:_MAX_TEXT]
