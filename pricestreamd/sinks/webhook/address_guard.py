"""Which addresses may a webhook be sent to? Those of the public internet, unless somebody has allowed others.

A webhook's host is a name that somebody else may answer for. Without a guard it could lead to a service on this machine
or in its network, or to the metadata of a cloud.

Source of the networks: the IANA registries of special-purpose addresses, which `ipaddress` knows, and the
documentation of clouds.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

# The last part of a name is never one, so whatever ends in it is meant as an address.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# All of the public IPv6 internet is in here.
_UNICAST = ipaddress.IPv6Network("2000::/3")
# An IPv4 address in the last four bytes, behind a translator.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# What versions of Python see differently, a cloud's metadata in it; the wire server of Azure, which answers its own
# machines at a public address; relays of 6to4, long given up; and the newer network for documentation.
_REFUSED: tuple[_Network, ...] = (
    *(ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("168.63.129.16")),
    *(ipaddress.IPv4Network("192.88.99.0/24"), ipaddress.IPv6Network("3fff::/20")),
)


# What else listens below 1024 speaks other languages (mail, remote shells), and may take a POST for orders in them.
_WEB_PORTS = (80, 443)
_FIRST_FREE_PORT = 1024


class AddressGuard:
    """`allowed`: True for every address, or the networks that are allowed besides the public ones."""

    def __init__(self, allowed: bool | Sequence[str] = False) -> None:
        self._everything = allowed is True
        self._any_port = bool(allowed)
        networks = () if isinstance(allowed, bool) else allowed
        self._networks: tuple[_Network, ...] = tuple(map(ipaddress.ip_network, networks))

    def admits(self, text: str) -> bool:
        """Whether a request may go to the address `text`."""
        if self._everything:
            return True
        address = ipaddress.ip_address(text.partition("%")[0])
        meant = _meant(address)
        return any(place in network for place in (address, meant) for network in self._networks) or _is_public(meant)

    def wrong_port(self, port: int | None) -> str | None:
        """What is wrong with a `port` (None: the scheme's own) on the internet; None: nothing, or any is allowed."""
        if self._any_port or port is None or port in _WEB_PORTS or port >= _FIRST_FREE_PORT:
            return None
        return f"port {port} is none of the web's (80, 443, 1024 and above): allow its network by allow_private"


def address_in(host: str) -> str | None:
    """`host`, where it is an address and no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return host


def wrong_address(host: str) -> str | None:
    """What is wrong with a `host` that looks like a number and is no proper address; None: nothing.

    `127.1`, `0177.0.0.1`, `0x7f000001` or `2130706433` are 127.0.0.1 to some programs and names to others. What a guard
    takes for a name must not be taken for an address by who connects.
    """
    if address_in(host) is not None or not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return None
    return f"{host} is neither a name nor a proper address: write an IPv4 address as four numbers, such as 192.0.2.1"


def _meant(address: _Address) -> _Address:
    """The IPv4 address inside of an IPv6 one, where a packet to it ends up at that."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return False
    if address.is_multicast or address.is_reserved or any(address in network for network in _REFUSED):
        return False
    return address.is_global
