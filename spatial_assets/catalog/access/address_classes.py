"""Proximity of IP addresses to this machine, by the special-purpose registries of IANA.

An IPv6 address that carries an IPv4 address (mapped, compatible, translated, 6to4, Teredo, ISATAP)
is as near as the nearest of both: a gateway on the way may deliver to the inner one.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache

from spatial_assets.errors import SourceUnavailableError


class Proximity(IntEnum):
    """Proximity of an address to this machine."""

    PUBLIC = 0
    PRIVATE = 1
    """Address of a network that is not routed on the internet."""

    OWN = 2
    """Address of this machine."""

    LINK = 3
    """Link-local address, or one at which a cloud serves credentials."""


def _networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# 0.0.0.0/8 is "this network": Linux connects to this machine by it.
_OWN = _networks("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128")

_LINK = _networks(
    *("169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8"),
    # Metadata services beyond the link-local range: Oracle, Azure, Alibaba, AWS, Google, Oracle
    *("192.0.0.192/32", "168.63.129.16/32", "100.100.100.200/32"),
    *("fd00:ec2::/32", "fd20:ce::/32", "fd00:c1::/32"),
)

# https://www.iana.org/assignments/iana-ipv4-special-registry and its sibling for IPv6: all blocks
# that are not globally reachable. A block with reachable exceptions counts as a whole.
_PRIVATE_V4 = _networks(
    *("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
    *("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("240.0.0.0/4",),
)
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
"""The only part of IPv6 that is given to the internet."""

_PRIVATE_V6 = _networks("2001::/23", "2001:db8::/32", "3fff::/20")

_LAST_32_BITS = _networks(
    *("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32")
)
"""Blocks whose addresses end in an IPv4 address: compatible, mapped, translated (SIIT, NAT64), and
Teredo, which inverts it."""

_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_TEREDO = ipaddress.IPv6Network("2001::/32")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
"""Third of the four words of an ISATAP address, before the IPv4 address."""

_WORD = 0xFFFFFFFF


def proximity_of_address(address: str) -> Proximity:
    """Return the proximity of an IP address; a zone such as %eth0 is ignored.

    Raises:
        ValueError: it is no IP address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return _of_v4(ip)
    return max((_of_v6(ip), *map(_of_v4, _embedded(ip))))


def _of_v4(ip: ipaddress.IPv4Address) -> Proximity:
    special = _special(ip)
    if special is not None:
        return special
    return Proximity.PRIVATE if _is_in(ip, _PRIVATE_V4) else Proximity.PUBLIC


def _of_v6(ip: ipaddress.IPv6Address) -> Proximity:
    special = _special(ip)
    if special is not None:
        return special
    if _is_in(ip, _LAST_32_BITS[:4]):  # the inner address alone decides
        return Proximity.PUBLIC
    is_public = ip in _PUBLIC_V6 and not _is_in(ip, _PRIVATE_V6)
    return Proximity.PUBLIC if is_public else Proximity.PRIVATE


def _special(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Proximity | None:
    if _is_in(ip, _LINK):
        return Proximity.LINK
    return Proximity.OWN if _is_in(ip, _OWN) else None


def _is_in(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
    networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> bool:
    return any(ip in network for network in networks)


def _embedded(ip: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address carries."""
    number = int(ip)
    if ip in _TEREDO:
        yield ipaddress.IPv4Address((number >> 64) & _WORD)  # its server
        yield ipaddress.IPv4Address(~number & _WORD)
    elif _is_in(ip, _LAST_32_BITS) or (number >> 32) & _WORD in _ISATAP:
        yield ipaddress.IPv4Address(number & _WORD)
    elif ip in _SIX_TO_FOUR:
        yield ipaddress.IPv4Address((number >> 80) & _WORD)


def addresses_of(host: str) -> tuple[str, ...]:
    """Return the addresses of a host name in the order of the resolver, asked once a minute.

    Raises:
        SourceUnavailableError: the name does not resolve at the moment.
    """
    return _addresses(host, int(time.monotonic() // 60))


@lru_cache(maxsize=1024)
def _addresses(host: str, _minute: int) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise SourceUnavailableError(
            f"the name {host[:200]!r} does not resolve to an address: {error}; retry later"
        ) from error
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))
