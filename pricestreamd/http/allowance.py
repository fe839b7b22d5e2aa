"""How often somebody may: so many at once and so many a second after that, for each place that requests come from."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict

# Places that are remembered, the latest ones. Each costs some hundred bytes.
REMEMBERED = 1024


class Allowance:
    """A token bucket for each place: `burst` at once, then `a_second`. `now` is a monotonic clock in seconds."""

    def __init__(self, burst: int, a_second: float) -> None:
        self._burst = float(burst)
        self._a_second = a_second
        # Place to what is left in its bucket, and when that was so.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, place: str, now: float) -> float:
        """Seconds until `place` may again; 0 when it may now."""
        left, at = self._left.get(place, (self._burst, now))
        return max(0.0, (1.0 - self._filled(left, at, now)) / self._a_second)

    def take(self, place: str, now: float) -> None:
        """`place` has done it."""
        left, at = self._left.pop(place, (self._burst, now))
        self._left[place] = self._filled(left, at, now) - 1.0, now
        while len(self._left) > REMEMBERED:
            self._left.popitem(last=False)

    def _filled(self, left: float, at: float, now: float) -> float:
        return min(self._burst, left + max(0.0, now - at) * self._a_second)

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
