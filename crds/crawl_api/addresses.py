"""Which addresses may be connected to for a job: the rule that keeps it from reaching into the cluster's own network.

Python's `is_global` alone does not do: it knows nothing of addresses that carry an IPv4 address inside (NAT64, 6to4),
of metadata services on public addresses, or of multicast. So every address is unwrapped first, and then all it
consists of must be public.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST_V6: Final = IPv6Network("2000::/3")
"""The only block from which public IPv6 addresses are assigned."""

_CARRIERS: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
"""NAT64 and v4-compatible: their last four bytes are the IPv4 address that is really meant."""

_DENIED: Final[tuple[tuple[Network, str], ...]] = (
    (IPv4Network("168.63.129.16/32"), "a metadata service"),
    (IPv4Network("169.254.169.254/32"), "a metadata service"),
    (IPv4Network("100.100.100.200/32"), "a metadata service"),
    (IPv6Network("fd00:ec2::254/128"), "a metadata service"),
    (IPv4Network("192.88.99.0/24"), "reserved"),  # withdrawn 6to4 relays; Python calls them global
    (IPv6Network("2001::/23"), "reserved"),  # Teredo and other protocol assignments
    (IPv6Network("3fff::/20"), "reserved"),  # documentation; newer than Python's table
)


@dataclass(frozen=True)
class Refusal:
    """An address that must not be connected to, and why."""

    address: str
    reason: str


def check(addresses: Sequence[str], allowed: Sequence[Network]) -> Refusal | None:
    """Return why these addresses of one name must not be connected to, or None.

    One bad address refuses the name: picking the good ones would let a name server decide by order and timing.

    Args:
        addresses: numeric addresses as a resolver returns them.
        allowed: networks that the administrator exempts.
    """
    for text in addresses:
        try:
            address = ip_address(text)
        except ValueError:
            return Refusal(text, "not an address")
        if reason := refusal_reason(address, allowed):
            return Refusal(text, reason)
    return None


def refusal_reason(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Return in a few words why the address is refused; None if it may be connected to."""
    if _in_any(address, allowed):
        return None
    return next((reason for form in _forms(address) if (reason := _reason(form, allowed))), None)


def _forms(address: Address) -> Iterator[Address]:
    """Yield every address that a connection to this one may reach."""
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    if int(address) > 1 and any(address in network for network in _CARRIERS):
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _reason(address: Address, allowed: Sequence[Network]) -> str | None:
    if _in_any(address, allowed):
        return None
    for network, reason in _DENIED:
        if _in_any(address, (network,)):
            return reason
    kinds = {
        "unspecified": address.is_unspecified,
        "loopback": address.is_loopback,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "private": address.is_private,
        "reserved": address.is_reserved,
        "not public": not address.is_global or (isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST_V6),
    }
    return next((name for name, holds in kinds.items() if holds), None)


def _in_any(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
