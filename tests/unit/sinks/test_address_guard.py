"""Which addresses a webhook may be sent to, and that names are held to it in the resolver of the connection."""

import socket

import pytest

from pricestreamd.model.errors import SinkError
from pricestreamd.model.secret import Secret
from pricestreamd.sinks.settings import WebhookSinkSettings
from pricestreamd.sinks.webhook.address_guard import AddressGuard, address_in, wrong_address
from pricestreamd.sinks.webhook.guarded_resolver import GuardedResolver
from pricestreamd.sinks.webhook.sink import WebhookSink
from tests.support.receiver import Receiver
from tests.unit.sinks.samples import alert

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001:80f::200e", "64:ff9b::808:808"]
REFUSED = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%eth0"],
    "metadata": ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
    "carrier": ["100.64.0.1", "100.127.255.255"],
    "unique local": ["fc00::1", "fdff:ffff::1"],
    "site local": ["fec0::1"],
    "multicast": ["224.0.0.1", "224.0.1.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "broadcast and reserved": ["255.255.255.255", "240.0.0.1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "3fff:fff::1"],
    "relays of 6to4": ["192.88.99.1"],
    "benchmarks": ["198.18.0.1"],
    "IPv4 in IPv6": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1"],
    "IPv4 in 6to4": ["2002:7f00:1::", "2002:a00:1::1"],
    "local translators": ["64:ff9b:1::7f00:1"],
}


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        *(("http://example.org/", False), ("https://example.org/", False), ("https://example.org:80/", False)),
        *(("http://example.org:443/", False), ("http://example.org:1024/", False), ("http://example.org:8443/", False)),
        *(("http://example.org:25/", True), ("https://example.org:1023/", True), ("http://8.8.8.8:22/", True)),
    ],
)
def test_on_the_internet_a_webhook_goes_to_ports_of_the_web_only(url: str, refused: bool) -> None:
    told = ""
    try:
        WebhookSink("hook", WebhookSinkSettings(url=Secret(url)))
    except SinkError as exc:
        told = str(exc)
    assert told.startswith("sink hook: port ") is refused
    WebhookSink("hook", WebhookSinkSettings(url=Secret(url), allow_private=("203.0.113.0/24",)))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_admitted(address: str) -> None:
    assert AddressGuard().admits(address)


@pytest.mark.parametrize("address", [address for group in REFUSED.values() for address in group])
def test_any_other_address_is_refused_unless_everything_is_allowed(address: str) -> None:
    assert not AddressGuard().admits(address)
    assert AddressGuard(True).admits(address)


@pytest.mark.parametrize(
    ("address", "allowed", "admitted"),
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("11.1.2.3", ["10.0.0.0/8"], True),  # public anyway
        ("172.16.0.1", ["10.0.0.0/8"], False),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("fd12::1", ["10.0.0.0/8", "fd12::/16"], True),
        ("fd13::1", ["10.0.0.0/8", "fd12::/16"], False),
        ("127.0.0.1", ["127.0.0.1"], True),
    ],
)
def test_networks_may_be_allowed(address: str, allowed: list[str], admitted: bool) -> None:
    assert AddressGuard(allowed).admits(address) is admitted


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("localhost", None), ("", None), ("1.2.3", None)]
)
def test_an_address_is_told_from_a_name(host: str, address: str | None) -> None:
    assert address_in(host) == address


ODD = [
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "017700000001",
    "0x7f.1",
    "0X7F000001",
    "0x",
    "0",
    "127.0.0.1.",
    "256.1.1.1",
]


@pytest.mark.parametrize("host", [*ODD, "1.2.3.4.5", "example.1", "08.1.1.1"])
def test_a_number_that_is_no_proper_address_is_told_of(host: str) -> None:
    told = f"{host} is neither a name nor a proper address: write an IPv4 address as four numbers, such as 192.0.2.1"
    assert wrong_address(host) == told


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0", "example.org", "1.example", "0x7f.example.", ""])
def test_a_name_and_a_proper_address_are_not(host: str) -> None:
    assert wrong_address(host) is None


@pytest.mark.parametrize("host", ODD)
@pytest.mark.parametrize("allow_private", [False, True])
async def test_a_request_to_such_a_number_is_never_made(host: str, allow_private: bool) -> None:
    async with Receiver() as receiver:
        url = Secret(f"http://{host}:{receiver.port}/x")
        sink = WebhookSink("hook", WebhookSinkSettings(url=url, allow_private=allow_private))
        with pytest.raises(SinkError, match="is neither a name nor a proper address"):
            await sink.deliver([alert()])
        await sink.close()
        assert receiver.requests == []


async def test_the_resolver_gives_out_no_address_that_the_guard_refuses() -> None:
    with pytest.raises(SinkError, match=r"localhost leads to .*, no public address: refused") as caught:
        await GuardedResolver(AddressGuard(), "hook").resolve("localhost", 80, socket.AF_UNSPEC)
    assert caught.value.sink == "hook"
    assert caught.value.transient
    found = await GuardedResolver(AddressGuard(["127.0.0.0/8"]), "hook").resolve("localhost", 80, socket.AF_UNSPEC)
    assert {result["host"] for result in found} == {"127.0.0.1"}
    assert {result["port"] for result in found} == {80}


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1", "0"]
)
async def test_a_request_to_this_machine_never_leaves(host: str) -> None:
    async with Receiver() as receiver:
        sink = WebhookSink("hook", WebhookSinkSettings(url=Secret(f"http://{host}:{receiver.port}/x")))
        with pytest.raises(SinkError):
            await sink.deliver([alert()])
        await sink.close()
        assert receiver.requests == []
