"""Faults around start and stop: rows L2, L7, L8, L9, and the ends of H1 and P3, on the process itself."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from pricestreamd.simulator.server import MAX_RATE, Simulator
from tests.integration.test_daemon import SINKS, config, lines
from tests.support.daemon import DaemonProcess
from tests.support.service_manager import ManagerEnviron, ManagerSocket


async def test_L2_a_second_signal_ends_the_drain(tmp_path: Path) -> None:
    """A sink never flushes, and the connections are only being closed when the second signal comes."""
    fifo = tmp_path / "nobody-reads"
    async with Simulator("twelvedata", rate=MAX_RATE) as simulator:
        os.mkfifo(fifo)
        held = os.open(fifo, os.O_RDWR)
        try:
            sinks = f"sinks: {{events: {{type: file, path: {fifo}}}}}\nshutdown_timeout: 60s"
            async with DaemonProcess(tmp_path, config(simulator, more=sinks), KEY="any") as daemon:
                await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 2_000)
                daemon.send(signal.SIGTERM)
                await daemon.said("SIGTERM: stopping")
                daemon.send(signal.SIGTERM)
                assert await daemon.ended(timeout=10) == 75
        finally:
            os.close(held)


async def test_L7_a_port_in_use_ends_with_71_and_names_it_and_its_holder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with Simulator("twelvedata") as simulator:
            text = config(simulator).replace("127.0.0.1:0", f"127.0.0.1:{port}")
            async with DaemonProcess(tmp_path, text, ready=False, KEY="any") as daemon:
                assert await daemon.ended() == 71
    told = "".join(daemon.log)
    assert f"cannot listen on 127.0.0.1:{port}: address already in use, by " in told
    assert f"(pid {os.getpid()})" in told
    assert not any("ready: page" in line for line in daemon.log)


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ('"192.0.2.1:9777"', "cannot listen on 192.0.2.1:9777: cannot assign requested address"),
        (
            '"unix:{folder}/missing/http.sock"',
            "cannot listen on unix:{folder}/missing/http.sock: no such file or directory",
        ),
    ],
)
async def test_L7_an_address_that_cannot_be_listened_on_ends_with_71_before_ready(
    tmp_path: Path, listen: str, told: str
) -> None:
    async with ManagerSocket(tmp_path) as manager, Simulator("twelvedata") as simulator:
        address = listen.format(folder=tmp_path)
        text = config(simulator).replace('{listen: "127.0.0.1:0"}', f"{{listen: {address}, auth_token: {'t' * 40}}}")
        async with DaemonProcess(tmp_path, text, ready=False, KEY="any", **manager.environ) as daemon:
            assert await daemon.ended() == 71
        assert simulator.connects == 0
        assert manager.heard("READY") == 0
    assert told.format(folder=tmp_path) in "".join(daemon.log)
    assert not any("Traceback" in line for line in daemon.log)


async def test_L8_a_missing_credential_is_told_with_every_other_error_and_exit_78(tmp_path: Path) -> None:
    """As where systemd has no such credential: the variable is not set, or the file is not there."""
    text = """feeds:
  us: {provider: twelvedata, api_key_file: "${CREDENTIALS_DIRECTORY}/twelvedata", symbols: [AAPL]}
  eu: {provider: twelvedata, api_key_file: /nonexistent/key, symbols: [MSFT]}
shutdown_timeout: soon
"""
    async with ManagerSocket(tmp_path) as manager:
        async with DaemonProcess(tmp_path, text, ready=False, **manager.environ) as daemon:
            assert await daemon.ended() == 78
        assert manager.told == []
    told = "".join(daemon.log)
    for place, words in ((2, "CREDENTIALS_DIRECTORY"), (3, "/nonexistent/key"), (4, "soon")):
        assert any(f"{daemon.config}:{place}:" in line and words in line for line in daemon.log), told
    assert "Traceback" not in told


@pytest.mark.parametrize("address", [None, "/nonexistent/notify", "@nobody-listens-here"])
async def test_L9_without_a_service_manager_that_listens_it_works_all_the_same(
    tmp_path: Path, address: str | None
) -> None:
    environ: ManagerEnviron = {} if address is None else {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"}
    async with Simulator("twelvedata", rate=200) as simulator:
        async with DaemonProcess(tmp_path, config(simulator), KEY="any", **environ) as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 20)
            daemon.send(signal.SIGHUP)
            await daemon.said("reloaded ")
            assert await daemon.stop() == 0
    assert not any("Traceback" in line for line in daemon.log)


async def test_L8_every_error_of_a_configuration_is_told_at_once_with_exit_78(tmp_path: Path) -> None:
    text = """feeds:
  us:
    provider: twelvdata
    api_key: ${NOT_SET_ANYWHERE}
    symbols: [AAPL]
    reconnect: {max_delay: soon}
strem: {}
"""
    async with DaemonProcess(tmp_path, text, ready=False) as daemon:
        assert await daemon.ended() == 78
    told = "".join(daemon.log)
    for place in (":3:", ":4:", ":6:", ":7:"):
        assert f"{daemon.config}{place}" in told
    assert "twelvedata" in told
    assert "NOT_SET_ANYWHERE" in told
    assert "stream" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("scenario", ["bad-key", "bad-key-in-band"])
async def test_h1_a_key_that_never_worked_ends_with_69_when_no_other_feed_lives(tmp_path: Path, scenario: str) -> None:
    async with Simulator("twelvedata", scenario=scenario) as simulator:
        async with DaemonProcess(tmp_path, config(simulator), ready=False, KEY="canary-key-1") as daemon:
            assert await daemon.ended() == 69
    assert not any("canary-key-1" in line for line in daemon.log)
    assert simulator.connects <= 1


async def test_h1_a_refused_feed_is_parked_beside_a_live_one(tmp_path: Path) -> None:
    async with Simulator("twelvedata", rate=100) as good, Simulator("twelvedata", scenario="bad-key") as bad:
        text = config(good).replace(
            "stream:",
            f"  other:\n    provider: twelvedata\n    api_key: wrong\n    endpoint: {bad.url}\n    symbols: [TSLA]\nstream:",
        )
        async with DaemonProcess(tmp_path, text, KEY="any") as daemon:
            feeds = await daemon.until("/api/v1/feeds", lambda feeds: feeds["other"]["state"] == "parked")
            assert feeds["us"]["state"] in ("subscribing", "live")
            await daemon.until("/api/v1/prices", lambda prices: "AAPL" in prices)
            assert (await daemon.get("/health", status=503))["status"] == "unhealthy"
            assert 'pricestream_feed_parked{feed="other"} 1.0' in await daemon.get("/metrics")
            assert await daemon.stop() == 0
    assert bad.refused == 1


async def test_a_slow_coroutine_listener_takes_no_time_from_the_sinks_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "slow_hooks.py").write_text("import asyncio\n\nasync def slow(event):\n    await asyncio.sleep(100)\n")
    listener = f"plugin_paths: ['{tmp_path}']\nlisteners: [{{event: price.update, call: 'slow_hooks:slow'}}]\nshutdown_timeout: 1s"
    async with Simulator("twelvedata", rate=500) as simulator:
        async with DaemonProcess(tmp_path, config(simulator, more=f"{SINKS}{listener}"), KEY="any-key") as daemon:
            await daemon.until("/api/v1/stats", lambda stats: stats["updates_received"] > 200)
            assert await daemon.stop() == 75
    assert any("coroutine listeners" in line and "not delivered" in line for line in daemon.log)
    assert not any("sink" in line and "not delivered" in line for line in daemon.log)
    updates = [event for event in lines(tmp_path / "events.jsonl") if event["event"] == "price.update"]
    assert [event["sequence"] for event in updates] == list(range(1, len(updates) + 1))


async def test_L8_listeners_that_cannot_be_are_named_together_with_exit_78(tmp_path: Path) -> None:
    (tmp_path / "broken_hooks.py").write_text("def f(:\n")
    more = f"""
plugin_paths: ['{tmp_path}']
listeners:
  - {{event: price.spike, call: "os:sep"}}
  - {{event: price.spike, call: "no_such_module:f"}}
  - {{event: price.spike, call: "broken_hooks:f"}}
"""
    async with Simulator("twelvedata") as simulator:
        async with DaemonProcess(tmp_path, config(simulator, more=more), ready=False, KEY="any-key") as daemon:
            assert await daemon.ended() == 78
    told = "".join(daemon.log)
    assert "os:sep is no function but str" in told
    assert "no_such_module:f cannot be imported: ModuleNotFoundError" in told
    assert "broken_hooks:f cannot be imported: SyntaxError" in told
    assert "Traceback" not in told


def held_up(scrape: str) -> bool:
    """Whether a timer came more than a quarter of a second late."""
    series = r"^pricestream_event_loop_lag_seconds_%s (\S+)$"
    (timers,) = re.findall(series % "count", scrape, re.MULTILINE)
    (in_time,) = re.findall(series % r'bucket\{le="0.25"\}', scrape, re.MULTILINE)
    return float(timers) > float(in_time)


async def test_P3_a_listener_that_blocks_the_loop_is_named_with_its_stack(tmp_path: Path) -> None:
    (tmp_path / "blocking_hooks.py").write_text(
        "import time\n\ndef block(event):\n    if event.sequence == 20:\n        time.sleep(0.7)\n"
    )
    more = f"plugin_paths: ['{tmp_path}']\nlisteners: [{{event: price.update, call: 'blocking_hooks:block'}}]"
    async with Simulator("twelvedata", rate=100) as simulator:
        async with DaemonProcess(tmp_path, config(simulator, more=more), KEY="any-key") as daemon:
            await daemon.said("blocking_hooks.py")
            await daemon.until("/metrics", held_up)
            assert await daemon.stop() == 0
    (warning,) = [line for line in daemon.log if "blocking_hooks.py" in line]
    assert '"log.level": "warning"' in warning
    assert "in block" in warning
