"""The live page in a real browser: it moves, it tells what is wrong, and nothing foreign runs in it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pricestreamd.http.app import HttpServer
from pricestreamd.http.settings import HttpSettings
from pricestreamd.model.secret import Secret
from tests.support.browser import Tab, browser_tab
from tests.support.http_serving import serving
from tests.support.small_daemon import SmallDaemon, connection, feed

pytestmark = pytest.mark.browser

ROWS = "document.querySelectorAll('#rows tr').length"


def cell(symbol: str, column: str) -> str:
    row = f"[...document.querySelectorAll('#rows tr')].find(row => row.firstChild.firstChild.nodeValue === '{symbol}')"
    return f"{row}?.querySelector('.{column}').innerText.trim()"


@pytest.fixture
def daemon() -> SmallDaemon:
    small = SmallDaemon(("AAPL", "MSFT", "BTC/USD", "NOPE"))
    small.symbol_reports["NOPE"] |= {"state": "rejected", "reason": "not in the plan"}
    small.feed_reports["crypto"] = feed(connection("backoff", last_error="reset by peer"), state="backoff")
    for index in range(100):
        small.publish("AAPL", 200.0 + index % 7)
        small.publish("MSFT", 400.0 - index)
    small.publish("BTC/USD", 60000.5, volume=None)
    return small


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with browser_tab(tmp_path / "profile") as opened:
        await opened.look(width=1280, height=800)
        yield opened


@contextlib.asynccontextmanager
async def showing(daemon: SmallDaemon, tab: Tab) -> AsyncIterator[HttpServer]:
    async with serving(daemon) as (server, _):
        assert server.url is not None
        await tab.open(server.url)
        await tab.until(f"{ROWS} === {len(daemon.symbol_reports)}")
        await tab.until("document.getElementById('link').dataset.state === 'live'")
        yield server


async def test_prices_appear_and_move_without_a_reload(daemon: SmallDaemon, tab: Tab) -> None:
    async with showing(daemon, tab):
        await tab.until(f"{cell('BTC/USD', 'price')} === '60,000.50'")
        assert await tab.ask(cell("BTC/USD", "volume")) == "\u2013"
        daemon.publish("AAPL", 250.25)
        daemon.publish("AAPL", 250.5)
        await tab.until(f"{cell('AAPL', 'price')} === '250.50'")
        assert await tab.ask(cell("AAPL", "change")) == "+0.25"
        assert await tab.ask(cell("AAPL", "percent")) == "+0.10"
        assert await tab.ask(cell("AAPL", "feed")) == "stocks live"
        assert await tab.ask(cell("NOPE", "feed")) == "rejected"
        assert await tab.ask("document.querySelector('#rows tr').dataset.way") == "up"
        # The line of a symbol with a history is drawn.
        drawn = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
        await tab.until(f"[...document.querySelectorAll('#rows canvas')].slice(0, 2).every({drawn})")
        assert tab.problems == []


async def test_feeds_figures_alerts_and_errors_are_told(daemon: SmallDaemon, tab: Tab) -> None:
    async with showing(daemon, tab):
        await tab.until("document.getElementById('feeds').innerText.includes('reconnecting')")
        daemon.alert("AAPL", "AAPL 200.35 crossed above 200.00 at 09:31:02 New York")
        daemon.error("invalid API key", severity="critical", feed="crypto")
        for _ in range(3):
            daemon.disconnected("reset")
        await tab.until("document.getElementById('alerts').innerText.includes('crossed above 200.00')")
        await tab.until("document.getElementById('errors').innerText.includes('crypto: invalid API key')")
        await tab.until("document.getElementById('errors').innerText.includes('\\u00d7 3')")
        assert await tab.ask("document.querySelectorAll('#errors li').length") == 2
        await tab.until("document.getElementById('fired').innerText === '1'")
        assert await tab.ask("document.getElementById('symbols').innerText") == "4"
        assert tab.problems == []


async def test_the_filter_and_the_heads_choose_and_order_the_rows(daemon: SmallDaemon, tab: Tab) -> None:
    def typed(text: str) -> str:
        return f"{{ const field = document.getElementById('filter'); field.value = '{text}'; field.dispatchEvent(new Event('input')); }}"

    symbols = "[...document.querySelectorAll('#rows tr')].map(row => row.firstChild.firstChild.nodeValue).join()"
    async with showing(daemon, tab):
        assert await tab.ask(symbols) == "AAPL,MSFT,BTC/USD,NOPE"
        await tab.ask(typed("usd"))
        await tab.until(f"{symbols} === 'BTC/USD'")
        assert await tab.ask("document.getElementById('shown').innerText") == "1 of 4"
        await tab.ask(typed("nothing"))
        await tab.until("document.getElementById('empty').checkVisibility()")
        assert await tab.ask("document.getElementById('empty').innerText") == "No symbol matches the filter"
        await tab.ask(typed(""))
        await tab.until(f"{ROWS} === 4")
        click = "document.querySelector('#heads .price button').click()"
        orders = ["BTC/USD,MSFT,AAPL,NOPE", "AAPL,MSFT,BTC/USD,NOPE", "AAPL,MSFT,BTC/USD,NOPE"]
        for order, told in zip(orders, ["descending", "ascending", None], strict=True):
            daemon.publish("MSFT", 301.0)
            await tab.ask(click)
            await tab.until(f"{symbols} === '{order}'")
            assert await tab.ask("document.querySelector('#heads .price').getAttribute('aria-sort')") == told
        daemon.publish("MSFT", 302.0)
        await tab.until(f"{cell('MSFT', 'price')} === '302.00'")
        assert tab.problems == []


async def test_whatever_a_symbol_or_a_message_holds_is_text(daemon: SmallDaemon, tab: Tab) -> None:
    evil = "<img src=x onerror=document.title=1>"
    daemon.symbol_reports[evil] = daemon._wanted(evil)
    async with showing(daemon, tab):
        daemon.publish(evil, 1.0)
        daemon.alert(evil, evil)
        daemon.error(evil, feed=evil)
        await tab.until(f"document.getElementById('alerts').innerText.includes('{evil}')")
        await tab.until(f"document.getElementById('errors').innerText.includes('{evil}')")
        await tab.until(f"{cell(evil, 'price')} === '1.00'")
        assert await tab.ask("document.querySelectorAll('main img').length") == 0
        assert "pricestreamd" in await tab.ask("document.title")
        assert tab.problems == []


async def test_the_policy_stops_injected_scripts_and_styles(daemon: SmallDaemon, tab: Tab) -> None:
    async with showing(daemon, tab):
        assert tab.problems == []
        await tab.ask(
            "window.stopped = []; addEventListener('securitypolicyviolation', e => stopped.push(e.effectiveDirective))"
        )
        await tab.ask(
            "{ const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s) }"
        )
        await tab.ask(
            "{ const s = document.createElement('script'); s.src = 'https://evil.example/x.js'; document.body.append(s) }"
        )
        await tab.ask(
            "{ const d = document.createElement('div'); d.setAttribute('style', 'color: red'); document.body.append(d) }"
        )
        await tab.ask("fetch('https://evil.example/').catch(() => 0)")
        await tab.until("stopped.length >= 4")
        assert await tab.ask("window.ran === undefined")
        assert set(await tab.ask("stopped")) == {"script-src-elem", "style-src-attr", "connect-src"}


async def test_the_table_is_a_table_for_those_who_do_not_see_it(daemon: SmallDaemon, tab: Tab) -> None:
    async with showing(daemon, tab):
        await tab.until(f"{cell('BTC/USD', 'price')} === '60,000.50'")
        nodes = (await tab.send("Accessibility.getFullAXTree"))["nodes"]
        roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
        assert roles.count("table") == 1
        assert roles.count("row") == 5
        assert roles.count("columnheader") == 8
        assert roles.count("rowheader") == 4
        assert roles.count("log") == 2
        assert roles.count("heading") == 4
        names = {
            node["name"]["value"] for node in nodes if not node["ignored"] and node["role"]["value"] == "searchbox"
        }
        assert names == {"Filter by symbol or feed"}


@pytest.mark.parametrize("by_address", [True, False], ids=["in the address", "typed"])
async def test_a_daemon_with_a_token_shows_nothing_before_it_is_given(
    daemon: SmallDaemon, tab: Tab, by_address: bool
) -> None:
    token = "a token & more"
    async with serving(daemon, auth_token=Secret(token)) as (server, _):
        assert server.url is not None
        if by_address:
            await tab.open(f"{server.url}#token=a+token+%26+more")
        else:
            await tab.open(server.url)
            for attempt in ("wrong", token):
                await tab.until("document.getElementById('ask').open")
                assert await tab.ask(ROWS) == 0
                await tab.ask(f"document.getElementById('token').value = '{attempt}'")
                await tab.ask("document.querySelector('#ask button').click()")
            assert await tab.ask("document.getElementById('ask-error').textContent") == "That token was not accepted."
        await tab.until(f"{ROWS} === 4")
        assert not await tab.ask("document.getElementById('ask').open")
        assert "token" not in await tab.ask("location.href")
        daemon.publish("AAPL", 123.25)
        await tab.until(f"{cell('AAPL', 'price')} === '123.25'")
        # It lasts for this tab.
        await tab.ask("window.before = true")
        await tab.send("Page.reload")
        await tab.until(f"!window.before && {ROWS} === 4")


async def test_a_lost_connection_is_shown_and_made_again(daemon: SmallDaemon, tab: Tab) -> None:
    async with showing(daemon, tab) as server:
        address = server.address
    await tab.until("document.getElementById('banner').innerText.startsWith('No connection to the daemon since')")
    assert await tab.ask("document.getElementById('link').dataset.state") == "offline"
    assert await tab.ask("document.body.classList.contains('offline')")
    daemon.publish("AAPL", 77.75)
    again = HttpServer(daemon, HttpSettings(listen=address))
    await again.start()
    try:
        await tab.until("document.getElementById('link').dataset.state === 'live'", 15)
        await tab.until(f"{cell('AAPL', 'price')} === '77.75'")
        assert await tab.ask("document.getElementById('banner').hidden")
    finally:
        await again.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_windows_from_a_phone_to_a_wall(
    daemon: SmallDaemon, tab: Tab, tmp_path: Path, scheme: str
) -> None:
    clipped = "[...document.querySelectorAll('#rows :is(th, td)')].filter(cell => cell.scrollWidth > cell.clientWidth)"
    async with showing(daemon, tab):
        for width in (360, 768, 1280, 2200):
            await tab.look(width=width, height=800, scheme=scheme)
            await tab.until(f"innerWidth === {width} && {cell('BTC/USD', 'price')} === '60,000.50'")
            assert await tab.ask("document.documentElement.scrollWidth") <= width
            assert await tab.ask(f"{clipped}.map(cell => cell.innerText).join()") == ""
            shot = await tab.screenshot(tmp_path / f"{scheme}-{width}.png")
            assert shot.stat().st_size > 10_000
        ground = await tab.ask("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(14, 17, 19)") is (scheme == "dark")
        assert tab.problems == []


async def test_it_stays_smooth_with_500_symbols_and_1000_updates_a_second(tab: Tab) -> None:
    symbols = tuple(f"S{index:03}" for index in range(500))
    daemon = SmallDaemon(symbols)
    for index, symbol in enumerate(symbols):
        daemon.publish(symbol, 100.0 + index)
    async with showing(daemon, tab):
        frames = (
            "window.frames = 0; window.longest = 0; { let last = performance.now(); requestAnimationFrame(function step(now) {"
            " frames += 1; longest = Math.max(longest, now - last); last = now; requestAnimationFrame(step) }) }"
        )
        await tab.ask(frames)
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        while (passed := loop.time() - began) < 3.0:
            while sent < passed * 1000:
                daemon.publish(symbols[sent * 7 % 500], 100.0 + sent % 50)
                sent += 1
            await asyncio.sleep(0.002)
        # Software rendering on a busy machine: far from still is what can be promised.
        assert await tab.ask("frames") / passed > 5
        daemon.publish("S000", 12345.67)
        await tab.until(f"{cell('S000', 'price')} === '12,345.67'", 2.0)
        assert tab.problems == []
