"""What a watchlist of the file must be: one source, and of a database an address that can be read with what is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricestreamd.config.findings import Findings, given
from pricestreamd.config.shape import word
from pricestreamd.config.yaml_text import Location
from pricestreamd.feeds.watchlists.watchlist_address import missing_extra, url_fault


def check_watchlist(location: Location, feed: Mapping[str, Any], found: Findings) -> None:
    """Apply the rules to the watchlist of `feed`, which is at `location`."""
    watchlist = feed.get("watchlist")
    if not isinstance(watchlist, Mapping):
        return
    place = (*location, "watchlist")
    if given(watchlist, "sql") and given(watchlist, "file"):
        found.fault((*place, "file"), "there is sql already; keep one of the two", on_key=True)
    elif not given(watchlist, "sql") and not given(watchlist, "file"):
        found.fault(place, "a watchlist needs file, or sql with url and query", on_key=True, absent=True)
    sql = watchlist.get("sql")
    if not isinstance(sql, Mapping):
        return
    # What is no address at all is told of already. The text of an address may hold a password: no message shows it.
    if "://" in (url := word(sql, "url") or "") and (fault := url_fault(url) or missing_extra(url)):
        found.fault((*place, "sql", "url"), fault)
    query = word(sql, "query")
    if query is not None and not query.strip():
        found.fault((*place, "sql", "query"), "expected a query such as SELECT symbol FROM watchlist")
