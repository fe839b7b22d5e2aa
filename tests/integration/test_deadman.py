"""The deadman of a whole daemon: it calls while feeds are live or their markets closed, and a reload changes it."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pricestreamd.simulator.server import Simulator
from tests.integration.test_daemon import config
from tests.support.daemon import DaemonProcess
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

KEY = "canary-3e77ab"


def deadman(receiver: Receiver) -> str:
    return f'deadman: {{url: "http://127.0.0.1:{receiver.port}/ping/{KEY}", interval: 1s}}'


def with_feed(text: str, feed: str) -> str:
    return text.replace("stream:", f"{feed}\nstream:", 1)


async def test_it_calls_while_all_is_well_is_silent_otherwise_and_takes_what_a_reload_changes(tmp_path: Path) -> None:
    day = (datetime.now(UTC) + timedelta(days=3)).strftime("%a").lower()
    closed = f'{{timezone: UTC, days: {day}, open: "00:00", close: "00:01"}}'
    async with (
        Simulator("twelvedata", rate=100) as simulator,
        Simulator("twelvedata", scenario="mute") as night,
        Receiver() as first,
        Receiver() as second,
    ):
        quiet = f"  quiet: {{provider: twelvedata, api_key: any, endpoint: '{night.url}', symbols: [MSFT], market_hours: {closed}}}"
        text = with_feed(config(simulator, symbols="AAPL", more=deadman(first)), quiet)
        async with DaemonProcess(tmp_path, text, KEY="any") as daemon:
            await eventually(lambda: len(first.accepted) >= 2, 10)
            assert 'deadman_calls_total{outcome="ok"} ' in await daemon.get("/metrics")

            broken = "  broken: {provider: twelvedata, api_key: any, endpoint: 'ws://127.0.0.1:9/x', symbols: [IBM], market_hours: always}"
            daemon.config.write_text(with_feed(text, broken))
            daemon.send(signal.SIGHUP)
            await daemon.said("deadman: silent, because feed broken: ")
            calls = len(first.accepted)
            assert (await daemon.get("/health", status=503))["status"] == "unhealthy"

            daemon.config.write_text(text.replace(deadman(first), deadman(second)))
            daemon.send(signal.SIGHUP)
            await eventually(lambda: len(second.accepted) >= 2, 10)
            assert len(first.accepted) == calls
            scrape, settings = await daemon.get("/metrics"), str(await daemon.get("/api/v1/config"))
            assert await daemon.stop() == 0
        assert second.accepted[0]["path"] == f"/ping/{KEY}"
    assert KEY not in "".join((*daemon.log, *daemon.out, scrape, settings))
