"""Wrong tokens: so many at once and one a second after that, for each place that they come from."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict

# A stale page or a script with an old token may be wrong a few times; nobody guesses a token in thirty attempts.
BURST = 30
A_SECOND = 1.0
# Places that are remembered, the latest ones. Each costs some hundred bytes.
REMEMBERED = 1024


class Guesses:
    """A token bucket for each place. `now` is a monotonic clock in seconds."""

    def __init__(self) -> None:
        # Place to what is left in its bucket, and when that was so.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, place: str, now: float) -> float:
        """Seconds for which nothing from `place` is looked at; 0 when a token may be tried."""
        left, at = self._left.get(place, (float(BURST), now))
        return max(0.0, (1.0 - self._filled(left, at, now)) / A_SECOND)

    def wrong(self, place: str, now: float) -> None:
        """A wrong token came from `place`."""
        left, at = self._left.pop(place, (float(BURST), now))
        self._left[place] = self._filled(left, at, now) - 1.0, now
        while len(self._left) > REMEMBERED:
            self._left.popitem(last=False)

    @staticmethod
    def _filled(left: float, at: float, now: float) -> float:
        return min(float(BURST), left + max(0.0, now - at) * A_SECOND)

    def __len__(self) -> int:
        return len(self._left)


def place_of(address: str | None) -> str:
    """Whom an address stands for: itself, or, of IPv6, its network, of which one person has 2**64 addresses."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def retry_after(seconds: float) -> str:
    """The value of the header Retry-After."""
    return str(max(1, math.ceil(seconds)))
