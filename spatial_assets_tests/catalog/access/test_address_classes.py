"""Addresses by the registries of IANA: special blocks, and IPv4 addresses inside IPv6 ones."""

from __future__ import annotations

import ipaddress
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.catalog.access.address_classes import (
    Proximity,
    addresses_of,
    proximity_of_address,
)
from spatial_assets.errors import SourceUnavailableError

SPECIAL: Final = {
    **dict.fromkeys(("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128"), Proximity.OWN),
    **dict.fromkeys(("169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8"), Proximity.LINK),
    **dict.fromkeys(
        (
            *("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
            *("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
            *("203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32", "64:ff9b:1::/48", "100::/64"),
            *("100:0:0:1::/64", "2001::/23", "2001:2::/48", "2001:db8::/32", "2001:10::/28"),
            *("3fff::/20", "5f00::/16", "fc00::/7", "fec0::/10"),
        ),
        Proximity.PRIVATE,
    ),
}
"""Block of the special-purpose registries that is not globally reachable -> least proximity."""

METADATA: Final = (
    *("169.254.169.254", "169.254.170.2", "192.0.0.192", "100.100.100.200", "168.63.129.16"),
    *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::a9fe:a9fe", "fd00:c1::a9fe:a9fe"),
)
"""Services at which clouds serve credentials."""

WRAPPERS: Final = {
    "compatible": lambda inner: inner,
    "mapped": lambda inner: 0xFFFF << 32 | inner,
    "translated": lambda inner: 0xFFFF << 48 | inner,
    "NAT64": lambda inner: 0x64FF9B << 96 | inner,
    "NAT64 of a site": lambda inner: 0x64FF9B0001 << 80 | inner,
    "6to4": lambda inner: 0x2002 << 112 | inner << 80 | 1,
    "Teredo": lambda inner: 0x20010000 << 96 | 0x08080808 << 64 | (inner ^ 0xFFFFFFFF),
    "Teredo server": lambda inner: 0x20010000 << 96 | inner << 64 | 0xF7F7F7F7,
    "ISATAP": lambda inner: 0x26001234 << 96 | 0x5EFE << 32 | inner,
}
"""Forms of an IPv6 address that carry an IPv4 address."""


@st.composite
def special_addresses(draw: st.DrawFn) -> tuple[str, Proximity]:
    """An address of a special block, and the least proximity that it may have."""
    block = draw(st.sampled_from(sorted(SPECIAL)))
    network = ipaddress.ip_network(block)
    shift = draw(st.integers(0, network.num_addresses - 1))
    return str(network[shift]), SPECIAL[block]


@given(special_addresses())
def test_no_address_of_a_special_block_is_farther_than_its_block(
    case: tuple[str, Proximity],
) -> None:
    address, least = case

    assert proximity_of_address(address) >= least


@pytest.mark.parametrize("address", METADATA)
def test_a_service_with_credentials_is_as_near_as_can_be(address: str) -> None:
    assert proximity_of_address(address) is Proximity.LINK


@given(
    st.sampled_from(sorted(WRAPPERS)),
    st.one_of(
        st.sampled_from(["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.0.0.192", "8.8.8.8"]),
        st.ip_addresses(v=4).map(str),
    ),
)
def test_an_ipv6_address_is_at_least_as_near_as_the_ipv4_address_in_it(
    form: str, inner: str
) -> None:
    outer = ipaddress.IPv6Address(WRAPPERS[form](int(ipaddress.IPv4Address(inner))))

    assert proximity_of_address(str(outer)) >= proximity_of_address(inner)


@pytest.mark.parametrize("address", ["64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"])
def test_a_public_address_in_an_ipv6_address_stays_public(address: str) -> None:
    assert proximity_of_address(address) is Proximity.PUBLIC


@given(st.ip_addresses())
def test_what_python_calls_local_is_never_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    found = proximity_of_address(str(address))

    if address.is_loopback:
        assert found is Proximity.OWN
    if address.is_link_local or address.is_multicast:
        assert found is Proximity.LINK
    if address.is_private and not address.is_global:
        assert found is not Proximity.PUBLIC


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "2606:4700::1"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert proximity_of_address(address) is Proximity.PUBLIC


@pytest.mark.parametrize("host", ["no-such-host.invalid", "%31%32%37.0.0.1", "", "a b", "x" * 300])
def test_a_name_that_does_not_resolve_has_no_address(host: str) -> None:
    with pytest.raises(SourceUnavailableError, match="does not resolve"):
        addresses_of(host)
