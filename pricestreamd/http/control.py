"""What the HTTP side needs of the daemon to change things, and to tell why an alert did or did not fire.

Every change is made at once, in the event loop, and holds from then on; `committed` returns when it will outlast the
process. What cannot be is a `RefusalError`, and then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypedDict

from aiohttp import web

from pricestreamd.http.delivery_control import DeliveryControl, OwedDelivery
from pricestreamd.http.view import AlertReport
from pricestreamd.model.errors import Problem
from pricestreamd.model.interface import SymbolReport
from pricestreamd.stream.alerts.explain import AlertExplanation


class SetAlert(NamedTuple):
    """An alert that was set. `existed`: one with this id was there before. `warnings`: sentences."""

    alert_id: str
    existed: bool
    warnings: Sequence[str] = ()


class ClearedAlerts(TypedDict):
    """What became of the alerts on one symbol, by their ids.

    `removed` are gone; `changed` stay for their other symbols; `kept` are those of the configuration, which stay.
    """

    removed: list[str]
    changed: list[str]
    kept: list[str]


class AddedSymbols(NamedTuple):
    """Symbols that were asked for, as they stand now; `added` are those of them that nobody wanted before.

    `warnings`: sentences.
    """

    reports: Sequence[SymbolReport]
    added: Sequence[str]
    warnings: Sequence[str] = ()


class DeliveryTried(TypedDict):
    """One attempt to hand a firing to a sink; `attempts` counts this one, too. `at` in epoch seconds."""

    sink: str
    result: str
    attempts: int
    at: float
    error: str | None


class PastFiring(TypedDict):
    """One firing: the event as the sinks get it, what was tried to deliver it, oldest first, and what is owed of it.

    `durable`: the state has it. Where not, its disk could not take it yet, and it was delivered from memory.
    """

    firing_id: str
    symbol: str | None
    timestamp: float
    durable: bool
    event: Mapping[str, Any]
    deliveries: list[DeliveryTried]
    owed: list[OwedDelivery]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReport:
    """How a reload went. With `problems` nothing was changed: the old configuration stays, byte for byte.

    `problems` are all of them, in the order of the file, those that are refused by name (`http.listen`) included.
    `changed` are the dotted keys that differed and are in force now, `restart` those that count at the next start;
    `warnings` are sentences.
    """

    problems: tuple[Problem, ...] = ()
    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Control(DeliveryControl, Protocol):
    """The running daemon, as far as those who have the token may change it."""

    def set_alert(self, body: Mapping[str, Any]) -> SetAlert:
        """Set the alert that `body` describes as the YAML would, in the place of the API-made one with its id.

        Raises:
            RefusalError: it cannot be read (422), belongs to the configuration (409), or is one too many (409).
        """

    def change_alert(self, alert_id: str, changes: Mapping[str, Any]) -> SetAlert:
        """Change some keys of an API-made alert; None takes a key out. Its id stays.

        Raises:
            RefusalError: there is none (404), it is of the configuration (409), or cannot be so (422).
        """

    def remove_alert(self, alert_id: str) -> None:
        """Remove an API-made alert.

        Raises:
            RefusalError: there is none (404), or it is of the configuration (409).
        """

    def clear_alerts(self, symbol: str) -> ClearedAlerts:
        """Remove the API-made alerts on `symbol`; one on several symbols, or on a glob, stays for the others."""

    def rearm_alert(self, alert_id: str, symbol: str | None) -> None:
        """Let an alert begin anew, for `symbol` or for all of its symbols. Those of the configuration may be, too.

        Raises:
            RefusalError: there is none, or it does not cover `symbol` (404).
        """

    def add_symbols(self, symbols: Sequence[str], feed: str | None) -> AddedSymbols:
        """Want `symbols` of `feed` from now on, without waiting for the provider.

        Raises:
            RefusalError: no such feed, or none named where there are several (422); a symbol of another feed (409).
        """

    def remove_symbol(self, symbol: str) -> list[str]:
        """Want an API-made symbol no longer. Returns warnings: the alerts that cannot fire without it.

        Raises:
            RefusalError: nobody wants it (404), or the configuration or a watchlist does (409).
        """

    async def committed(self) -> None:
        """Return when everything changed so far will outlast the process.

        Raises:
            StateError: the disk refuses.
        """

    async def reload(self) -> ReloadReport:
        """Read the configuration again and put what differs in force, after a reload that is under way has ended.

        Never raises for what is wrong with the configuration: that is in the report. Whoever asks may leave: then the
        reload goes on all the same.
        """

    # --- questions

    def alert(self, alert_id: str) -> AlertReport | None:
        """One alert; None where there is none of this id."""

    def explain(self, alert_id: str, symbol: str | None, limit: int) -> tuple[list[AlertExplanation], int]:
        """Why the alert did or did not fire for `symbol`, or for the first `limit` of its symbols, and how many more.

        Raises:
            RefusalError: there is no such alert, or it does not cover `symbol` (404).
        """

    def is_log_only(self, alert_id: str) -> bool:
        """Whether no sink that keeps account of its deliveries gets the alert, as things are configured now."""

    async def firings(self, alert_id: str, symbol: str | None, limit: int) -> list[PastFiring]:
        """The last firings of the alert, newest first, also of one that is no more.

        Raises:
            StateError: the disk refuses.
        """

    def unwritten_firings(self, alert_id: str, symbol: str | None, limit: int) -> list[PastFiring]:
        """Of the last firings of the alert those that are in memory only, newest first: known without the disk."""

    async def last_firings(self, limit: int) -> list[PastFiring]:
        """The last firings of all alerts that are set, newest first.

        Raises:
            StateError: the disk refuses.
        """


CONTROL: web.AppKey[Control] = web.AppKey("control", Control)
