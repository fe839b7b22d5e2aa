"""Sinks and the outbox over HTTP: how each sink is, one tried out, and what was given up, retried and dropped."""

import asyncio
import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from tests.support.delivery_desk import HOOK, SLOW, DeliveryDesk, answering, delivery_desk
from tests.support.nats_server import NatsServer
from tests.support.people import Mailbox
from tests.support.receiver import Received, accept
from tests.support.waiting import eventually

DOCUMENT = Path(__file__).parents[2] / "docs" / "http.md"


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[DeliveryDesk]:
    async with delivery_desk(tmp_path) as made:
        yield made


# --- how a sink is


async def test_a_sink_that_is_refused_says_why_and_since_when_until_it_delivers_again(desk: DeliveryDesk) -> None:
    async with desk.start(SLOW):
        fresh = await desk.sink("slow")
        assert (fresh["type"], fresh["state"], fresh["why"], fresh["owed"]) == ("webhook", "delivering", None, 0)
        assert fresh["last_success"] is fresh["last_error"] is None
        await desk.fire()
        await desk.owed(lambda owed: owed and owed[0]["attempts"] == 2)
        failing = await desk.sink("slow")
        assert (failing["state"], failing["why"], failing["owed"]) == ("failing", "127.0.0.1 answered 500", 1)
        assert failing["since"] <= failing["last_error_at"]
        await desk.fire()
        await desk.daemon.until(
            "/api/v1/sinks",
            lambda answer: {one["sink"]: one["state"] for one in answer["sinks"]}["slow"] == "breaker_open",
        )
        assert (await desk.sink("slow"))["since"] == failing["since"]
        await desk.daemon.said("sink slow: 127.0.0.1 answered 500; 3 failures in a row")
        refuse = desk.receiver.answer

        async def only_tests(request: web.Request, received: Received) -> web.StreamResponse:
            return await (accept if json.loads(received["raw"])["event"] == "test" else refuse)(request, received)

        desk.receiver.answer = only_tests
        went = await desk.tell("POST", "/api/v1/sinks/slow/test")
        assert went["sentences"][1].startswith("Deliveries have failed before, at last with: 127.0.0.1 answered 500. ")
        desk.receiver.answer = accept
        await desk.fire()
        await desk.owed(lambda owed: not owed)
        await desk.daemon.said("sink slow: it takes events again")
        well = await desk.sink("slow")
        assert (well["state"], well["why"], well["since"], well["delivered"], well["given_up"]) == (
            "delivering", None, None, 3, 0,
        )  # fmt: skip
        assert well["last_success"] >= well["last_error_at"]
        assert [one["sink"] for one in (await desk.daemon.get("/api/v1/sinks"))["sinks"]] == ["slow", "log"]


async def test_what_waits_for_a_sink_that_is_no_more_is_told_of_and_can_be_dropped(desk: DeliveryDesk) -> None:
    async with desk.start(SLOW):
        await desk.fire()
        await desk.owed(lambda owed: owed and owed[0]["attempts"] >= 1)
        await desk.daemon.stop()
    async with desk.start("  book: {{type: file, path: e.jsonl, events: [price.alert]}}\n"):
        gone = await desk.sink("slow")
        assert (gone["state"], gone["type"], gone["owed"]) == ("unclaimed", None, 1)
        drop = "pricestreamd outbox drop --sink slow"
        assert gone["why"] == f"no sink of this name is configured; {drop} drops what waits"
        await desk.daemon.said(f"wait for sink slow, which is not configured: configure it again, or drop them: {drop}")
        (owed,) = (await desk.daemon.get("/api/v1/outbox"))["deliveries"]
        assert (owed["state"], owed["next_attempt_at"]) == ("unclaimed", None)
        refused = await desk.tell("POST", "/api/v1/outbox/retry", {"sink": "slow"}, 409)
        assert "configured" in refused["detail"]
        assert (await desk.tell("POST", "/api/v1/outbox/retry", {"all": True}, 409))["status"] == 409
        dropped = await desk.tell("DELETE", "/api/v1/outbox?sink=slow")
        assert dropped["dropped"] == {"slow": 1}
        await desk.tell("DELETE", "/api/v1/outbox?sink=slow", status=404)


# --- one tried out


async def test_a_test_event_arrives_marked_and_changes_nothing_of_how_the_sink_is(desk: DeliveryDesk) -> None:
    async with desk.start(SLOW):
        before = await desk.sink("slow")
        for _ in range(4):
            failed = await desk.tell("POST", "/api/v1/sinks/slow/test")
            assert (failed["ok"], failed["error"], failed["trial"]) == (False, "127.0.0.1 answered 500", "event")
        desk.receiver.answer = answering(410)
        assert not (await desk.tell("POST", "/api/v1/sinks/slow/test"))["ok"]
        assert await desk.sink("slow") == before
        desk.receiver.answer = accept
        went = await desk.tell("POST", "/api/v1/sinks/slow/test")
        assert went["ok"] and went["error"] is None
        assert await desk.sink("slow") == before
        (received,) = desk.receiver.accepted
        body = json.loads(received["raw"])
        assert received["id"] == went["event_id"] == body["id"]
        assert (body["event"], body["sink"]) == ("test", "slow")
        assert not {"symbol", "price", "firing_id"} & body.keys()
        await desk.tell("POST", "/api/v1/sinks/none/test", status=404)
        await desk.tell("POST", "/api/v1/sinks/slow/test", {"call": True}, 400)
        await desk.tell("POST", "/api/v1/sinks/slow/test?call=perhaps", status=400)


async def test_a_sink_that_takes_prices_only_is_asked_and_gets_none(desk: DeliveryDesk) -> None:
    async with desk.start("  db: {{type: sqlite, path: p.db}}\n"):
        await desk.provider.last.price("AAPL", 100.0)
        await desk.daemon.until("/api/v1/sinks", lambda answer: answer["sinks"][0]["delivered"] == 1)
        asked = await desk.tell("POST", "/api/v1/sinks/db/test")
        assert (asked["ok"], asked["trial"], asked["event_id"]) == (True, "asked", None)
        with closing(sqlite3.connect(desk.folder / "p.db", isolation_level=None)) as database:
            assert database.execute("SELECT price FROM prices").fetchall() == [(100.0,)]
            database.execute("DROP TABLE prices")
            broken = await desk.tell("POST", "/api/v1/sinks/db/test")
            assert not broken["ok"]
            assert "no such table" in broken["error"]
            assert broken["sentences"][0].startswith("It does not work: ")


async def test_a_test_reaches_nats_people_and_files_of_a_running_daemon(desk: DeliveryDesk) -> None:
    with NatsServer() as server, Mailbox() as mailbox:
        sinks = (
            f'  bus: {{{{type: nats, url: "{server.url}", events: [price.spike]}}}}\n'
            f'  mail: {{{{type: notify, urls: ["{mailbox.address}"]}}}}\n'
            "  lines: {{type: file, path: e.jsonl, events: [price.spike], durable: true}}\n"
        )
        async with desk.start(sinks):
            without = await desk.tell("POST", "/api/v1/sinks/bus/test")
            assert not without["ok"]
            assert "nats stream add PRICESTREAM" in without["error"]
            server.add_stream("pricestream")
            went = await desk.tell("POST", "/api/v1/sinks/bus/test")
            assert went["ok"], went
            (message,) = server.messages("pricestream")
            assert (message.subject, message.id) == ("pricestream.test.=", went["event_id"])
            assert (await desk.tell("POST", "/api/v1/sinks/mail/test"))["ok"]
            assert [subject for subject, _ in mailbox.mails] == ["test: test"]
            went = await desk.tell("POST", "/api/v1/sinks/lines/test")
            assert [json.loads(line)["id"] for line in (desk.folder / "e.jsonl").read_text().splitlines()] == [
                went["event_id"]
            ]
            server.kill()
            gone = await desk.tell("POST", "/api/v1/sinks/bus/test")
            assert not gone["ok"]
            sinks_now = (await desk.daemon.get("/api/v1/sinks"))["sinks"]
            assert {one["received"] for one in sinks_now if one["sink"] != "log"} == {0}


async def test_what_a_sink_puts_off_is_told_so_and_is_not_owed_before_its_time(desk: DeliveryDesk) -> None:
    with Mailbox() as mailbox:
        async with desk.start(f'  mail: {{{{type: notify, urls: ["{mailbox.address}"]}}}}\n'):
            await desk.fire()
            await eventually(lambda: mailbox.mails)
            await desk.owed(lambda owed: not owed)
            await desk.fire()
            (held,) = await desk.owed(lambda owed: owed and (owed[0]["next_attempt_at"] or 0) > time.time() + 600)
            assert held["state"] == "put_off"
            report = await desk.sink("mail")
            assert (report["queued"], report["owed"], report["given_up"]) == (1, 0, 0)
            assert report["received"] == report["delivered"] + report["queued"] == 2
            ran = await desk.command("outbox", "list")
            assert "put off" in ran.out
            ran = await desk.command("alerts", "explain", "high")
            assert re.search(r"mail \(not tried yet; its sink puts it off, the next attempt in 1\d min\)", ran.out)
            assert re.search(r"^ +in 1\d min +mail +1 +to come", ran.out, re.MULTILINE)


async def test_a_function_is_called_by_a_test_only_where_that_is_asked_for(desk: DeliveryDesk) -> None:
    (desk.folder / "orders.py").write_text(
        "from pathlib import Path\n"
        "def sell(event):\n"
        "    with Path(__file__).with_name('sold').open('a') as file: file.write(event.event + '\\n')\n"
    )
    async with desk.start("  sell: {{type: call, call: 'orders:sell'}}\n"):
        quiet = await desk.tell("POST", "/api/v1/sinks/sell/test")
        assert (quiet["ok"], quiet["trial"]) == (True, "opened")
        assert "not called" in quiet["sentences"][0]
        assert not (desk.folder / "sold").exists()
        assert (await desk.tell("POST", "/api/v1/sinks/sell/test?call=true"))["trial"] == "event"
        assert (desk.folder / "sold").read_text() == "test\n"


# --- the outbox


async def test_what_was_given_up_is_retried_and_arrives_under_its_id(desk: DeliveryDesk) -> None:
    async with desk.start():
        await desk.fire(2)
        newer, older = await desk.dead(2)
        assert (older["sink"], older["state"], older["attempts"]) == ("hook", "dead", 2)
        assert (older["alert_id"], older["symbol"], older["last_error"]) == ("high", "AAPL", "127.0.0.1 answered 500")
        assert older["text"].startswith("AAPL 201.00 crossed above 200.00")
        assert (await desk.sink("hook"))["given_up"] == 2
        desk.receiver.answer = accept
        answer = await desk.tell("POST", "/api/v1/outbox/retry", {"ids": [older["id"], 999]})
        assert answer == {
            "retried": {"hook": 1}, "revived": {"hook": 1}, "started": [], "events": {}, "unclaimed": {}, "unknown": [999],
        }  # fmt: skip
        await eventually(lambda: desk.receiver.ids == [older["event_id"]])
        assert [one["id"] for one in await desk.dead(1)] == [newer["id"]]
        await desk.tell("POST", "/api/v1/outbox/retry", {"sink": "hook"})
        await desk.owed(lambda owed: not owed)
        assert desk.receiver.ids == [older["event_id"], newer["event_id"]]
        firings = (await desk.daemon.get("/api/v1/alerts/high/firings"))["firings"]
        assert [(one["deliveries"][-1]["result"], one["owed"]) for one in firings] == [("delivered", [])] * 2


async def test_what_waits_is_tried_whenever_somebody_asks_however_often(desk: DeliveryDesk) -> None:
    async with desk.start(SLOW):
        await desk.fire()
        # Its third attempt is due in an hour.
        (waiting,) = await desk.owed(lambda owed: owed and owed[0]["attempts"] == 2)
        assert waiting["next_attempt_at"] - waiting["created_at"] > 200
        for count in range(len(desk.receiver.requests) + 1, len(desk.receiver.requests) + 4):
            answer = await desk.tell("POST", "/api/v1/outbox/retry", {"sink": "slow"})
            assert (answer["retried"], answer["revived"]) == ({"slow": 1}, {})
            await eventually(lambda: len(desk.receiver.requests) == count)  # noqa: B023 - called within the turn
        (waiting,) = (await desk.daemon.get("/api/v1/outbox"))["deliveries"]
        assert (waiting["attempts"], waiting["state"]) == (2, "waiting")
        desk.receiver.answer = accept
        await desk.tell("POST", "/api/v1/outbox/retry", {"ids": [waiting["id"]]})
        await eventually(lambda: desk.receiver.ids == [waiting["event_id"]])


@pytest.mark.parametrize("asked", ["retry", "test"])
async def test_what_waits_in_the_queue_of_a_sink_that_failed_is_tried_as_soon_as_somebody_asks(
    desk: DeliveryDesk, asked: str
) -> None:
    async with desk.start(SLOW.replace("[price.alert]", "[price.update]")):
        await desk.fire()
        # One failure, and one more after 50 ms; the next attempt is due in an hour.
        await eventually(lambda: len(desk.receiver.requests) == 2)
        assert (await desk.sink("slow"))["queued"] == 2
        desk.receiver.answer = accept
        if asked == "retry":
            ran = await desk.command("outbox", "retry", "--sink", "slow")
            assert ran.out == "slow: 0 deliveries tried now; 2 other events in its queue, too\n"
            updates = 2
        else:
            answer = await desk.tell("POST", "/api/v1/sinks/slow/test")
            assert "What waits in its queue (2) is tried now" in answer["sentences"][1]
            updates = 3
        await eventually(lambda: len(desk.receiver.ids) == updates)
        await desk.daemon.until("/api/v1/sinks", lambda answer: not any(one["queued"] for one in answer["sinks"]))


async def test_a_sink_that_was_told_to_stop_is_started_again_by_a_retry(desk: DeliveryDesk) -> None:
    desk.receiver.answer = answering(410)
    async with desk.start():
        await desk.fire()
        (waiting,) = await desk.owed(lambda owed: owed and owed[0]["state"] == "stopped")
        assert waiting["next_attempt_at"] is None
        stopped = await desk.sink("hook")
        assert stopped["state"] == "stopped"
        assert "410" in stopped["why"]
        desk.receiver.answer = accept
        went = await desk.tell("POST", "/api/v1/sinks/hook/test")
        assert went["ok"]
        assert "pricestreamd outbox retry --sink hook" in went["sentences"][1]
        assert (await desk.sink("hook"))["state"] == "stopped"
        answer = await desk.tell("POST", "/api/v1/outbox/retry", {"sink": "hook"})
        assert answer["started"] == ["hook"]
        await eventually(lambda: waiting["event_id"] in desk.receiver.ids)
        await desk.owed(lambda owed: not owed)
        assert (await desk.sink("hook"))["state"] == "delivering"


async def test_what_was_dropped_does_not_come_back_and_the_rest_stays(desk: DeliveryDesk) -> None:
    async with desk.start(HOOK + SLOW):
        await desk.fire(2)
        newer, older = await desk.dead(2)
        waiting = (await desk.daemon.get("/api/v1/outbox?dead=false&sink=slow"))["deliveries"]
        assert len(waiting) == 2
        refused = await desk.tell("DELETE", f"/api/v1/outbox?id={older['id']}&id={waiting[0]['id']}", status=409)
        assert str(waiting[0]["id"]) in refused["detail"]
        await desk.tell("DELETE", "/api/v1/outbox?sink=slow", status=409)
        dropped = await desk.tell("DELETE", f"/api/v1/outbox?id={older['id']}")
        assert dropped["dropped"] == {"hook": 1}
        assert [one["event_id"] for one in dropped["deliveries"]] == [older["event_id"]]
        await desk.daemon.said(f"dropped, as asked: {older['event_id']} of sink hook")
        dropped = await desk.tell("DELETE", "/api/v1/outbox?sink=hook&dead=true")
        assert [one["event_id"] for one in dropped["deliveries"]] == [newer["event_id"]]
        await desk.tell("DELETE", f"/api/v1/outbox?id={older['id']}", status=404)
        explained = (await desk.daemon.get("/api/v1/alerts/high/explain"))["explanations"][0]["sentences"]
        assert any("hook (2 attempts: 127.0.0.1 answered 500; dropped since)" in line for line in explained)
        desk.daemon.process.kill()
        await desk.daemon.process.wait()
    desk.receiver.answer = accept
    async with desk.start(HOOK + SLOW):
        await desk.tell("POST", "/api/v1/outbox/retry", {"all": True})
        await desk.owed(lambda owed: not owed)
        # Those of the sink that still owed them, and no others.
        assert len(desk.receiver.accepted) == 2
        assert sorted(desk.receiver.ids) == sorted(one["event_id"] for one in waiting)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/v1/outbox?dead=yes", None, 400),
        ("GET", "/api/v1/outbox?limit=1001", None, 400),
        ("GET", "/api/v1/outbox?sinks=hook", None, 400),
        ("GET", "/api/v1/outbox?sink=hok", None, 404),
        ("GET", "/api/v1/sinks?sink=hook", None, 400),
        ("POST", "/api/v1/outbox/retry", {}, 422),
        ("POST", "/api/v1/outbox/retry", {"all": False}, 422),
        ("POST", "/api/v1/outbox/retry", {"all": True, "sink": "hook"}, 422),
        ("POST", "/api/v1/outbox/retry", {"ids": []}, 422),
        ("POST", "/api/v1/outbox/retry", {"ids": [True]}, 422),
        ("POST", "/api/v1/outbox/retry", {"ids": [2**63]}, 422),
        ("POST", "/api/v1/outbox/retry", {"ids": [5]}, 404),
        ("POST", "/api/v1/outbox/retry", {"sink": "hok"}, 404),
        ("POST", "/api/v1/outbox/retry", {"sink": "log"}, 409),
        ("DELETE", "/api/v1/outbox", None, 400),
        ("DELETE", "/api/v1/outbox?dead=true", None, 400),
        ("DELETE", "/api/v1/outbox?id=1&sink=hook", None, 400),
        ("DELETE", "/api/v1/outbox?id=x", None, 400),
        ("DELETE", "/api/v1/outbox?id=0", None, 400),
        ("DELETE", "/api/v1/outbox?sink=hook&dead=false", None, 400),
        ("DELETE", "/api/v1/outbox?sink=hok", None, 404),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_cannot_be_meant_is_refused_with_a_reason(
    refusing: DeliveryDesk, method: str, path: str, body: Any, status: int
) -> None:
    answer = await refusing.tell(method, path, body, status)
    assert answer["status"] == status
    assert answer["detail"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DeliveryDesk]:
    """One daemon for all of these: none of them changes anything."""
    async with delivery_desk(tmp_path_factory.mktemp("desk")) as made, made.start():
        yield made


async def test_changes_need_the_token(desk: DeliveryDesk) -> None:
    async with desk.start(), aiohttp.ClientSession() as session:
        for method, path in (
            ("POST", "/api/v1/sinks/hook/test"),
            ("POST", "/api/v1/outbox/retry"),
            ("DELETE", "/api/v1/outbox?sink=hook&dead=true"),
        ):
            async with session.request(method, f"{desk.daemon.url}{path}") as response:
                assert response.status == 401
        assert not desk.receiver.requests


async def test_every_curl_of_the_document_does_what_it_says(desk: DeliveryDesk) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    section = DOCUMENT.read_text().partition("## Sinks and what they owe\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    commands = [line.strip() for line in re.sub(r"^#.*\n", "", block, flags=re.MULTILINE).split("\n\n")]
    async with desk.start(HOOK.replace("hook:", "phone:")):
        await desk.fire(2)
        owed = sorted(one["id"] for one in await desk.dead(2))
        statuses = []
        for command in commands:
            asked = command.replace("http://127.0.0.1:9777", str(desk.daemon.url)).replace("17", str(owed[0]))
            process = await asyncio.create_subprocess_exec(
                *("bash", "-c", asked.replace("curl ", "curl -sS -w '%{http_code}' ", 1)),
                stdout=asyncio.subprocess.PIPE,
                env={"PATH": os.environ["PATH"], "TOKEN": (desk.folder / "http-token").read_text().strip()},
            )
            out, _ = await asyncio.wait_for(process.communicate(), 30)
            statuses.append(out.decode()[-3:])
            if "retry" in command:
                await desk.dead(1)
        assert len(statuses) >= 6
        assert set(statuses) == {"200"}
        await desk.dead(0)
