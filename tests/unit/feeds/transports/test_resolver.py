"""Names into addresses: the system's own, in threads that end by themselves."""

from __future__ import annotations

import socket
import threading

import pytest

from pricestreamd.feeds.transports.resolver import Resolver
from tests.support.waiting import eventually


async def test_the_addresses_of_a_name_are_the_systems() -> None:
    (found,) = await Resolver().resolve("localhost", 8080, socket.AF_INET)
    assert (found["hostname"], found["host"], found["port"]) == ("localhost", "127.0.0.1", 8080)
    assert (found["family"], found["proto"]) == (socket.AF_INET, socket.IPPROTO_TCP)
    assert found["flags"] == socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


async def test_an_address_is_its_own_name_in_either_family() -> None:
    found = await Resolver().resolve("192.0.2.1", 443, socket.AF_UNSPEC)
    assert [(each["host"], each["family"]) for each in found] == [("192.0.2.1", socket.AF_INET)]


async def test_a_name_without_an_address_is_the_systems_error() -> None:
    with pytest.raises(socket.gaierror):
        await Resolver().resolve("no-such-host.invalid", 443)


async def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    for _ in range(5):
        await Resolver().resolve("localhost", 80)
    await Resolver().close()
    await eventually(lambda: set(threading.enumerate()) <= before)
