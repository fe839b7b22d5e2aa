"""A symbol, an alert and an error that are named like a script, on the page in a real browser: row E7."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.browser import browser_tab
from tests.support.http_serving import serving
from tests.support.small_daemon import SmallDaemon

pytestmark = pytest.mark.browser

# Each would set `window.ran` if it were taken for more than a text.
NAMES = (
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    "<svg/onload=window.ran=1>",
    "'\"><iframe srcdoc='<script>parent.ran=1</script>'>",
    "javascript:window.ran=1",
    "<style>@import '//evil.example/x'</style>",
    "<base href='//evil.example/'>",
    "{{constructor.constructor('window.ran=1')()}}",
)


async def test_e7_names_that_are_scripts_are_shown_and_nothing_of_them_runs(tmp_path: Path) -> None:
    daemon = SmallDaemon(NAMES)
    async with serving(daemon) as (server, _), browser_tab(tmp_path / "profile") as tab:
        assert server.url is not None
        for name in NAMES:
            daemon.publish(name, 100.0)
        await tab.open(server.url)
        await tab.until(f"document.querySelectorAll('#rows tr').length === {len(NAMES)}")
        await tab.until("document.getElementById('link').dataset.state === 'live'")
        for number, name in enumerate(NAMES):
            daemon.publish(name, 101.0)
            daemon.alert(name, f"{name} above {number}")
            daemon.error(name)
        shown = "[...document.querySelectorAll('#rows tr')].map(row => row.firstChild.firstChild.nodeValue).sort()"
        await tab.until(f"{shown}.length === {len(NAMES)}")
        assert await tab.ask(shown) == sorted(NAMES)
        await tab.until(f"document.getElementById('errors').innerText.includes({NAMES[-1]!r})")
        assert await tab.ask("window.ran === undefined")
        # Not an element of theirs is in the document, and the policy had nothing to stop.
        foreign = "document.querySelectorAll('main :is(script, img, iframe, style), svg[onload], base').length"
        assert await tab.ask(foreign) == 0
        assert tab.problems == []
        # What got in all the same, by whatever way, is stopped.
        await tab.ask(
            "window.stopped = []; addEventListener('securitypolicyviolation', e => stopped.push(e.effectiveDirective))"
        )
        await tab.ask(
            "document.body.insertAdjacentHTML('beforeend', `<img src=x onerror='window.ran=1'>"
            "<iframe srcdoc='<script>parent.ran=1</scr` + `ipt>'></iframe><a href='javascript:window.ran=1' id=link2>x</a>`)"
        )
        await tab.ask("document.getElementById('link2').click()")
        await tab.until("stopped.includes('script-src-attr') && stopped.includes('script-src-elem')")
        assert await tab.ask("window.ran === undefined")
