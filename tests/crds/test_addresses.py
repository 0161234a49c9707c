"""The guard against internal addresses: every range, both families, every disguise."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_api.addresses import Refusal, check, refusal_reason

patient = settings(deadline=None)
"""Machines are shared: an example may take its time."""

INTERNAL_V4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "100.100.100.200/32",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/29",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
]
INTERNAL_V6 = [
    "::/128",
    "::1/128",
    "100::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:db8::/32",
    "3fff::/20",
    "64:ff9b:1::/48",
    "fc00::/7",
    "fd00:ec2::254/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1"]


def disguises(address: IPv4Address) -> list[str]:
    """Return the IPv6 addresses that carry an IPv4 address inside."""
    value = int(address)
    return [
        str(IPv6Address((0xFFFF << 32) | value)),  # mapped
        str(IPv6Address(int(IPv6Address("64:ff9b::")) | value)),  # NAT64
        str(IPv6Address((0x2002 << 112) | (value << 80) | 1)),  # 6to4
        str(IPv6Address((0x20010000 << 96) | (0x08080808 << 64) | (value ^ 0xFFFFFFFF))),  # Teredo, as client
        str(IPv6Address((0x20010000 << 96) | (value << 64) | 0xF7F7F7F7)),  # Teredo, as server
    ]


@pytest.mark.parametrize("network", INTERNAL_V4 + INTERNAL_V6)
def test_no_internal_range_gets_through(network: str) -> None:
    """First, last and middle address of every internal range are refused."""
    block = ip_network(network)
    for address in (block[0], block[-1], block[block.num_addresses // 2]):
        assert refusal_reason(address), address


@pytest.mark.parametrize("network", INTERNAL_V4)
def test_no_disguise_helps(network: str) -> None:
    """An internal IPv4 address inside an IPv6 address is refused as well."""
    for disguise in disguises(IPv4Network(network)[-1]):
        assert refusal_reason(ip_address(disguise)), disguise


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_let_through(address: str) -> None:
    """The guard is no wall: the public Internet is reachable, also through NAT64."""
    assert refusal_reason(ip_address(address)) is None
    if "." in address:
        assert refusal_reason(ip_address(f"::ffff:{address}")) is None
        assert refusal_reason(IPv6Address(int(IPv6Address("64:ff9b::")) | int(IPv4Address(address)))) is None


@patient
@given(
    st.sampled_from([ip_network(text) for text in INTERNAL_V4]).flatmap(
        lambda block: st.integers(int(block[0]), int(block[-1]))
    ),
    st.integers(0, 4),
)
def test_any_address_of_an_internal_range_is_refused(value: int, form: int) -> None:
    """Property: no address of an internal range gets through, plain or disguised."""
    address = IPv4Address(value)
    assert refusal_reason(address)
    assert refusal_reason(ip_address(disguises(address)[form]))


@patient
@given(st.ip_addresses(v=6))
def test_an_ipv6_address_gets_through_only_from_the_global_block_or_as_a_public_ipv4(address: IPv6Address) -> None:
    """Property: what is let through is in 2000::/3, or stands for a public IPv4 address."""
    if refusal_reason(address) is not None:
        return
    embedded = address.ipv4_mapped or (address.sixtofour or None)
    if address in IPv6Network("64:ff9b::/96") or address in IPv6Network("::/96"):
        embedded = IPv4Address(int(address) & 0xFFFFFFFF)
    assert (embedded is not None and embedded.is_global) or address in IPv6Network("2000::/3")


def test_the_administrator_may_exempt_networks() -> None:
    """An allow-list entry exempts its addresses, also in disguise, and nothing beside them."""
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")]
    assert refusal_reason(ip_address("10.1.2.3"), allowed) is None
    assert refusal_reason(ip_address("::ffff:10.1.2.3"), allowed) is None
    assert refusal_reason(ip_address("fd00:1::5"), allowed) is None
    assert refusal_reason(ip_address("10.2.0.1"), allowed) == "private"
    assert refusal_reason(ip_address("fd00:2::5"), allowed)


def test_one_bad_address_refuses_the_name() -> None:
    """There is no picking among the addresses of a name; the refusal says which one it was."""
    assert check(["1.1.1.1", "10.0.0.1"], []) == Refusal("10.0.0.1", "private")
    assert check(["1.1.1.1", "2606:4700:4700::1111"], []) is None
    assert check(["no address"], []) == Refusal("no address", "not an address")
    assert check(["fe80::1%eth0"], []) == Refusal("fe80::1%eth0", "link-local")
