"""Alerts of the service: deadlines by a timer of the loop, what is missed, and what programs ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pricestreamd.model.events import Event, PriceGap, PriceResumed, PriceStale
from pricestreamd.stream.service import PriceStreamService
from tests.support.waiting import eventually
from tests.unit.stream.client import LocalClient
from tests.unit.stream.test_service import Service


def alerts(service: Service) -> list[Event]:
    return [event for event in service.events if event.event == "price.alert"]


async def test_what_must_hold_fires_without_a_further_tick() -> None:
    service = Service()
    await service.stream.start(["AAPL", "MSFT"])
    service.stream.set_alert("AAPL", {"above": 200, "for": "50ms"})
    service.stream.set_alert("MSFT", {"above": 200, "for": "20ms"})
    begun = time.monotonic()
    # The second is due first.
    service.client.deliver("AAPL", 201.0, 1.0)
    service.client.deliver("MSFT", 201.0, 1.0)
    await eventually(lambda: len(alerts(service)) == 2)
    assert time.monotonic() - begun >= 0.05
    assert [event["symbol"] for event in alerts(service)] == ["MSFT", "AAPL"]
    assert [event.timestamp for event in alerts(service)] == [1.02, 1.05]
    await service.stream.stop()


async def test_what_was_waiting_at_the_start_is_waited_for() -> None:
    service = Service()
    service.stream.begin(["AAPL"])
    service.stream.set_alert("AAPL", {"above": 200, "for": "20ms"})
    await service.stream.stop()
    service.client.deliver("AAPL", 201.0, 1.0)
    assert service.stream.engine.next_deadline() is not None
    service.stream.begin(["AAPL"])
    await eventually(lambda: len(alerts(service)) == 1)
    await service.stream.stop()


def test_without_a_loop_a_deadline_is_met_at_the_next_look() -> None:
    service = Service()
    service.stream.begin(["AAPL"])
    service.stream.set_alert("AAPL", {"above": 200, "for": "1ms"})
    service.client.deliver("AAPL", 201.0, 1.0)
    due = service.stream.engine.next_deadline()
    assert due is not None
    service.stream.engine.on_time(due)
    assert [event.timestamp for event in alerts(service)] == [1.001]
    assert service.stream.engine.next_deadline() is None


def test_what_is_missed_reaches_the_alerts() -> None:
    service = Service()
    service.stream.begin(["AAPL"])
    service.stream.set_alert("AAPL", above=200, name="a")
    service.client.deliver("AAPL", 199.0, 1.0)
    number = service.dispatcher.run.next_number
    service.dispatcher.dispatch(PriceStale("run", number(), 2.0, "AAPL", "local", 60.0))
    assert service.stream.alerts_blind == 1
    service.dispatcher.dispatch(PriceResumed("run", number(), 3.0, "AAPL", "local", 60.0))
    assert service.stream.alerts_blind == 0
    service.dispatcher.dispatch(PriceGap("run", number(), 4.0, "local", ("AAPL",), 1.0, 4.0, "reset"))
    service.client.deliver("AAPL", 201.0, 5.0)
    assert [event["after_gap"] for event in alerts(service)] == [True]


def test_an_event_of_a_users_own_is_no_silence() -> None:
    service = Service()
    service.stream.begin(["AAPL"])
    service.stream.set_alert("AAPL", above=200)
    service.dispatcher.dispatch("price.stale", {"symbol": "AAPL"})
    assert service.stream.alerts_blind == 0


def test_an_alert_is_explained_and_armed_again() -> None:
    service = Service()
    service.stream.begin(["AAPL"])
    alert_id = service.stream.set_alert("AAPL", above=200, once=True)
    service.client.deliver("AAPL", 201.0, 1.0)
    explained = service.stream.explain_alert(alert_id, "AAPL")
    assert explained is not None
    assert explained["state"] == "done"
    assert not service.stream.rearm_alert(alert_id, "MSFT")
    assert not service.stream.rearm_alert("other")
    assert service.stream.rearm_alert(alert_id)
    service.client.deliver("AAPL", 201.0, 2.0)
    assert len(alerts(service)) == 2


def test_a_client_with_events_of_its_own_is_heard() -> None:
    class Talker(LocalClient):
        def on_event(self, callback: Callable[[Event], Any]) -> None:
            self.tell = callback

    service = Service()
    service.client = Talker()
    service.stream = PriceStreamService(service.client, service.dispatcher)
    service.stream.begin(["AAPL"])
    service.client.tell(PriceStale("run", 1, 2.0, "AAPL", "local", 60.0))
    assert service.names() == ["price.stale"]
