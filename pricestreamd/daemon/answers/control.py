"""The daemon under control: what `http.control.Control` promises, over the running parts.

`restore` comes before watchlists are handed out and before the state of the alerts is put back; `reconcile` after a
reload has changed feeds and alerts.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pricestreamd.config.settings import Settings
from pricestreamd.daemon.answers.alert_reports import alert_report
from pricestreamd.daemon.answers.alerts import ApiAlerts
from pricestreamd.daemon.answers.outbox import ApiOutbox
from pricestreamd.daemon.answers.past_firings import PastFirings
from pricestreamd.daemon.answers.sinks import ApiSinks
from pricestreamd.daemon.answers.symbols import ApiSymbols
from pricestreamd.daemon.journal.keeping import Keeping, Limits
from pricestreamd.daemon.outlets import Outlets
from pricestreamd.feeds.group import FeedGroup
from pricestreamd.http.control import AddedSymbols, ClearedAlerts, PastFiring, ReloadReport, SetAlert
from pricestreamd.http.delivery_control import DroppedOutbox, OwedDelivery, RetriedOutbox, SinkReport, SinkTest
from pricestreamd.http.problem import RefusalError
from pricestreamd.http.view import AlertReport
from pricestreamd.model.events import PriceAlert, PriceError
from pricestreamd.sinks.catalogue import is_durable
from pricestreamd.state.rows import SavedState
from pricestreamd.stream.alerts.explain import AlertExplanation
from pricestreamd.stream.service import PriceStreamService

_log = logging.getLogger(__name__)


class DaemonControl:
    """Implements `Control`. `settings` gives those in force, `outlets` has the running sinks.

    `reload` reads the configuration again, and says how that went.
    """

    def __init__(
        self,
        service: PriceStreamService,
        feeds: FeedGroup,
        keeping: Keeping,
        *,
        settings: Callable[[], Settings],
        outlets: Outlets,
        reload: Callable[[], Awaitable[ReloadReport]],
        limits: Limits | None = None,
    ) -> None:
        self._reload = reload
        self._service = service
        self._keeping = keeping
        self._settings = settings
        board = service.board
        limits = limits or Limits()
        names = outlets.workers.keys
        self._alerts = ApiAlerts(board, feeds, keeping, settings=settings, sinks=names, warn=self._warn, limits=limits)
        self._sinks = ApiSinks(outlets, keeping.store, service.dispatcher.run)
        self._outbox = ApiOutbox(outlets, keeping.store)
        self._firings = PastFirings(board, keeping, self._outbox)
        self._symbols = ApiSymbols(board, feeds, keeping, warn=self._warn, limits=limits)

    def restore(self, saved: SavedState) -> None:
        """Set the alerts and want the symbols that an earlier run has kept."""
        self._alerts.restore(saved.alerts)
        self._symbols.restore(saved.symbols)

    def reconcile(self) -> None:
        """What the configuration has now is not the API's any more."""
        self._alerts.reconcile()
        self._symbols.reconcile()

    def keep_all(self) -> None:
        """Keep all of it once more: the file was replaced by a new one."""
        self._alerts.keep_all()
        self._symbols.keep_all()

    def _warn(self, message: str) -> None:
        _log.warning("%s", message, extra={"told_as": PriceError.event})
        self._service.dispatcher.error("made_over_api", message)

    # --- changes

    def set_alert(self, body: Mapping[str, Any]) -> SetAlert:
        """See `Control`."""
        return self._alerts.set(body)

    def change_alert(self, alert_id: str, changes: Mapping[str, Any]) -> SetAlert:
        """See `Control`."""
        return self._alerts.change(alert_id, changes)

    def remove_alert(self, alert_id: str) -> None:
        """See `Control`."""
        self._alerts.remove(alert_id)

    def clear_alerts(self, symbol: str) -> ClearedAlerts:
        """See `Control`."""
        return self._alerts.clear(symbol)

    def rearm_alert(self, alert_id: str, symbol: str | None) -> None:
        """See `Control`."""
        self._alerts.rearm(alert_id, symbol)

    def add_symbols(self, symbols: Sequence[str], feed: str | None) -> AddedSymbols:
        """See `Control`."""
        return self._symbols.add(symbols, feed)

    def remove_symbol(self, symbol: str) -> list[str]:
        """See `Control`."""
        return self._symbols.remove(symbol)

    async def committed(self) -> None:
        """See `Control`."""
        await self._keeping.committed()

    async def reload(self) -> ReloadReport:
        """See `Control`."""
        return await self._reload()

    # --- deliveries

    async def sinks(self) -> list[SinkReport]:
        """See `DeliveryControl`."""
        return await self._sinks.reports()

    async def test_sink(self, name: str, *, call: bool) -> SinkTest:
        """See `DeliveryControl`."""
        return await self._sinks.test(name, call=call)

    async def outbox(self, sink: str | None, *, dead: bool | None, limit: int) -> list[OwedDelivery]:
        """See `DeliveryControl`."""
        return await self._outbox.owed(sink, dead=dead, limit=limit)

    async def retry_outbox(self, sink: str | None, ids: Sequence[int] | None) -> RetriedOutbox:
        """See `DeliveryControl`."""
        return await self._outbox.retry(sink, ids)

    async def drop_outbox(self, sink: str | None, ids: Sequence[int] | None, *, dead: bool) -> DroppedOutbox:
        """See `DeliveryControl`."""
        return await self._outbox.drop(sink, ids, dead=dead)

    # --- questions

    def alert(self, alert_id: str) -> AlertReport | None:
        """See `Control`."""
        return alert_report(self._service, alert_id)

    def explain(self, alert_id: str, symbol: str | None, limit: int) -> tuple[list[AlertExplanation], int]:
        """See `Control`."""
        rule = self._alerts.known(alert_id)
        if symbol is not None:
            told = self._service.explain_alert(alert_id, symbol)
            if told is None:
                raise RefusalError(404, "The alert does not cover that symbol, or no feed has it.", parameter="symbol")
            return [told], 0
        covered = [symbol for symbol in self._service.board.by_symbol if rule.covers(symbol)]
        found = (self._service.explain_alert(alert_id, symbol) for symbol in covered[:limit])
        return [told for told in found if told is not None], max(0, len(covered) - limit)

    def is_log_only(self, alert_id: str) -> bool:
        """See `Control`."""
        rule = self._service.board.rule(alert_id)
        durable = {name: sink for name, sink in self._settings().sinks.items() if is_durable(sink)}
        if rule is not None and rule.notify:
            return not any(name in durable for name in rule.notify)
        wanting = (glob for sink in durable.values() for glob in sink.events)
        return not any(fnmatchcase(PriceAlert.event, glob) for glob in wanting)

    async def firings(self, alert_id: str, symbol: str | None, limit: int) -> list[PastFiring]:
        """See `Control`."""
        return await self._firings.of(alert_id, symbol, limit)

    def unwritten_firings(self, alert_id: str, symbol: str | None, limit: int) -> list[PastFiring]:
        """See `Control`."""
        return self._firings.unwritten(alert_id, symbol, limit)

    async def last_firings(self, limit: int) -> list[PastFiring]:
        """See `Control`."""
        return await self._firings.last(limit)
