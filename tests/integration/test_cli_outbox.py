"""`pricestreamd outbox` and the delivery log of `alerts explain`, asked of a daemon whose receiver refuses."""

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.delivery_desk import HOOK, SLOW, DeliveryDesk, delivery_desk
from tests.support.receiver import accept
from tests.support.waiting import eventually


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[DeliveryDesk]:
    async with delivery_desk(tmp_path) as made:
        yield made


async def test_a_dead_letter_is_listed_explained_retried_and_arrives_under_its_id(desk: DeliveryDesk) -> None:
    async with desk.start(HOOK + SLOW):
        await desk.fire()
        (dead,) = await desk.dead(1)
        await desk.owed(lambda owed: owed and owed[0]["attempts"] == 2, "?sink=slow")
        ran = await desk.command("outbox", "list", "--dead")
        assert (ran.code, ran.err) == (0, "")
        heads, row, sums = ran.out.splitlines()
        assert " ".join(heads.split()) == "id sink event event id state attempts next since last error"
        assert row.startswith(f"{dead['id']} ")
        for told in ("AAPL 201.00 crossed above 200.00", dead["event_id"], "dead", "127.0.0.1 answered 500"):
            assert told in row
        assert sums == "1 given up"
        everything = await desk.command("outbox", "list")
        assert everything.out.splitlines()[-1] == "1 delivery owed, 1 given up"
        assert "in 59 min" in everything.out
        explained = await desk.command("alerts", "explain", "high")
        retry = f"Given up for hook (2 attempts: 127.0.0.1 answered 500; pricestreamd outbox retry {dead['id']} tries it again)"
        assert retry in explained.out
        assert "Not yet delivered to slow (2 attempts: 127.0.0.1 answered 500; the next attempt in " in explained.out
        log = explained.out.partition(f"deliveries of {dead['event_id']}:\n")[2].splitlines()
        assert log[0].split() == ["tried", "at", "sink", "attempt", "result", "error"]
        attempts = [(line.split()[2], line.split()[3], "failed" in line, "given up" in line) for line in log[1:5]]
        assert sorted(attempts) == [
            ("hook", "1", True, False), ("hook", "2", True, True), ("slow", "1", True, False), ("slow", "2", True, False),
        ]  # fmt: skip
        assert log[5].split()[-5:-1] == ["slow", "3", "to", "come"]
        desk.receiver.answer = accept
        ran = await desk.command("outbox", "retry", str(dead["id"]), "999")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.splitlines() == [
            "hook: 1 delivery tried now, 1 of them given up before",
            "not in the outbox (any more): 999",
            "pricestreamd outbox list shows what is left",
        ]
        unknown = await desk.command("outbox", "retry", "999")
        assert (unknown.code, unknown.out) == (69, "")
        assert unknown.err.endswith(
            "none of these is in the outbox (any more): pricestreamd outbox list shows what is\n"
        )
        assert (await desk.command("outbox", "drop", "999", "--yes")).err == unknown.err
        await eventually(lambda: desk.receiver.ids == [dead["event_id"]])
        assert (await desk.command("outbox", "retry", "--all")).out.startswith("slow: 1 delivery tried now\n")
        await eventually(lambda: desk.receiver.ids == [dead["event_id"]] * 2)
        await desk.owed(lambda owed: not owed)
        assert (await desk.command("outbox", "list")).out == "0 deliveries owed\n"
        assert (await desk.command("outbox", "retry", "--all")).out == "nothing is owed\n"
        explained = await desk.command("alerts", "explain", "high")
        assert "Delivered to hook, slow (3 attempts)." in explained.out


async def test_what_is_dropped_is_named_and_does_not_come_back_after_a_restart(desk: DeliveryDesk) -> None:
    async with desk.start():
        await desk.fire(3)
        third, second, first = await desk.dead(3)
        unasked = await desk.command("outbox", "drop", str(first["id"]))
        assert (unasked.code, unasked.out) == (64, "")
        assert "--yes" in unasked.err
        working = await desk.command("outbox", "drop", "--sink", "hook", "--yes")
        assert (working.code, "--dead" in working.err) == (69, True)
        ran = await desk.command("outbox", "drop", str(first["id"]), "--yes")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.splitlines()[0].startswith(f"{first['id']}: dropped: hook, {first['event_id']}, AAPL 201.00 ")
        assert ran.out.splitlines()[1] == "hook: 1 delivery dropped"
        again = await desk.command("outbox", "drop", str(first["id"]), "--yes")
        assert again.code == 69
        kept = json.loads((await desk.command("outbox", "list", "--json")).out)["deliveries"]
        assert [one["id"] for one in kept] == [third["id"], second["id"]]
        await desk.daemon.stop()
    desk.receiver.answer = accept
    async with desk.start():
        assert (await desk.command("outbox", "retry", "--sink", "hook")).code == 0
        await desk.owed(lambda owed: not owed)
        assert desk.receiver.ids == [second["event_id"], third["event_id"]]


@pytest.mark.parametrize(("answer", "left"), [("n", 2), ("y", 0)])
async def test_on_a_terminal_a_person_sees_what_would_go_and_decides(
    desk: DeliveryDesk, answer: str, left: int
) -> None:
    async with desk.start():
        await desk.fire(2)
        dead = await desk.dead(2)
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pricestreamd", "outbox", "drop", "--sink", "hook", "--dead"),
            *("--url", str(desk.daemon.url)),
            stdin=theirs,
            stdout=asyncio.subprocess.PIPE,
            stderr=theirs,
            cwd=desk.folder,
            env={**os.environ, "STATE_DIRECTORY": str(desk.folder), "RUNTIME_DIRECTORY": str(desk.folder)},
        )
        os.close(theirs)
        shown = ""
        while "[y/N] " not in shown:
            shown += (await asyncio.wait_for(asyncio.to_thread(os.read, ours, 4096), 20)).decode()
        assert all(one["event_id"] in shown for one in dead)
        os.write(ours, f"{answer}\n".encode())
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        os.close(ours)
        assert process.returncode == 0
        assert out.decode().splitlines()[-1] == ("nothing was dropped" if left else "hook: 2 deliveries dropped")
        assert len((await desk.daemon.get("/api/v1/outbox"))["deliveries"]) == left


async def test_a_command_that_selects_nothing_changes_nothing(desk: DeliveryDesk) -> None:
    async with desk.start():
        await desk.fire()
        (dead,) = await desk.dead(1)
        for arguments in (
            ["retry"], ["retry", "--all", "--sink", "hook"], ["retry", "x"], ["retry", "0"], ["drop", "--yes"],
            ["drop", "--dead", "--yes"], ["drop", "1", "--sink", "hook", "--yes"], ["drop", "1", "--dead", "--yes"],
            ["list", "--limit", "0"],
        ):  # fmt: skip
            ran = await desk.command("outbox", *arguments)
            assert (ran.code, ran.out) == (64, ""), arguments
            assert ran.err.startswith("pricestreamd outbox")
        for arguments in (["retry", "--sink", "hok"], ["retry", "--sink", "log"], ["list", "--sink", "hok"]):
            ran = await desk.command("outbox", *arguments)
            assert (ran.code, ran.out) == (69, ""), arguments
        assert await desk.dead(1) == [dead]
