"""`pricestreamd sinks` and what `status` tells of sinks, asked of a daemon whose receiver refuses."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.support.command import Ran
from tests.support.delivery_desk import HOOK, SLOW, DeliveryDesk, answering, delivery_desk
from tests.support.receiver import accept


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[DeliveryDesk]:
    async with delivery_desk(tmp_path) as made:
        yield made


def columns(ran: Ran) -> dict[str, list[str]]:
    """The rows of the table, by the name of the sink."""
    rows = [re.split(r" {2,}", line) for line in ran.out.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) > 5}


async def test_list_and_status_tell_which_sink_fails_why_and_what_it_owes(desk: DeliveryDesk) -> None:
    async with desk.start(HOOK + SLOW):
        well = await desk.command("status")
        assert "sink" not in well.out
        await desk.fire()
        await desk.dead(1)
        await desk.owed(lambda owed: owed and owed[0]["attempts"] == 2, "?sink=slow")
        ran = await desk.command("sinks", "list")
        assert (ran.code, ran.err) == (0, "")
        rows = columns(ran)
        assert rows["sink"][:7] == ["type", "state", "queued", "owed", "given up", "delivered", "dropped"]
        assert rows["hook"] == ["webhook", "failing", "0", "0", "1", "0", "1", "-"]
        assert rows["slow"] == ["webhook", "failing", "1", "1", "0", "0", "0", "-"]
        assert rows["log"][:2] == ["log", "delivering"]
        assert re.search(r"^slow: failing since \S+ \S+Z \(.+\): 127\.0\.0\.1 answered 500$", ran.out, re.MULTILINE)
        assert "hook: dropped: 1 retries\n" in ran.out
        assert "path-secret" not in ran.said
        as_json = json.loads((await desk.command("sinks", "list", "--json")).out)
        assert {one["sink"]: one["given_up"] for one in as_json["sinks"]} == {"hook": 1, "slow": 0, "log": 0}
        told = [line for line in (await desk.command("status")).out.splitlines() if line.startswith("sink ")]
        assert [line.partition(" since ")[0] for line in told] == ["sink hook: failing", "sink slow: failing"]
        assert told[0].endswith("127.0.0.1 answered 500; 1 given up (pricestreamd outbox list --dead)")
        assert "; 1 owed, the oldest " in told[1]
        assert set(json.loads((await desk.command("status", "--json")).out)) == {"status", "stats", "feeds"}


async def test_test_says_in_plain_words_what_happened(desk: DeliveryDesk) -> None:
    async with desk.start():
        assert await desk.command("sinks", "test", "hook") == Ran(
            69, "hook: It does not work: 127.0.0.1 answered 500.\n", ""
        )
        desk.receiver.answer = accept
        ran = await desk.command("sinks", "test", "hook")
        assert (ran.code, ran.err) == (0, "")
        (received,) = desk.receiver.accepted
        assert ran.out.startswith(f"hook: It works: it took the event test with the id {received['id']} in ")
        desk.receiver.answer = answering(302)
        ran = await desk.command("sinks", "test", "hook", "--json")
        assert ran.code == 69
        assert json.loads(ran.out)["error"] == "127.0.0.1 answered 302, a redirect, which is not followed"
        assert await desk.command("sinks", "test", "hok") == Ran(
            69, "", "pricestreamd sinks: no sink 'hok'; did you mean 'hook'? (pricestreamd sinks list shows them)\n"
        )
