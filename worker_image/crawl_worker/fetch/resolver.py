"""Name resolution behind the guard: what was checked is what is connected to.

Twisted resolves a name once per connection, through the reactor's resolver, and connects to the numeric addresses it
gets. Standing there, the guard sees every connection (literals, redirects, robots.txt, TLS) and no second lookup can
answer differently. Names are looked up by Scrapy's caching resolver over getaddrinfo, both address families.
"""

from collections.abc import Sequence
from typing import Any, Final

import ada_url
from scrapy.resolver import CachingHostnameResolver
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from crawl_api.addresses import Network, Refusal, check

_CACHED_NAMES: Final = 1000


@implementer(IHostnameResolver)
class GuardedResolver:
    """A resolver that yields no address at all for a name with a refused one.

    A resolver cannot say why it found nothing, so the reason is kept here, by name.
    """

    def __init__(self, reactor: Any, allowed: Sequence[Network]) -> None:
        self._inner = CachingHostnameResolver(reactor, _CACHED_NAMES)
        self._allowed = allowed
        self._refusals: dict[str, Refusal] = {}

    def refusal(self, host: str) -> Refusal | None:
        """Return why the host of a URL was refused, if it was."""
        return self._refusals.get(host.strip("[]"))

    def resolveHostName(  # noqa: N802 (the interface's name)
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803 (the interface's names)
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        """Look the name up and hand its addresses on, all or none."""
        receiver: Any = _GuardedReceiver(resolutionReceiver, self, hostName)
        return self._inner.resolveHostName(receiver, hostName, portNumber, addressTypes, transportSemantics)

    def admit(self, host: str, addresses: Sequence[str]) -> bool:
        """Say whether a name with these addresses may be connected to, and remember why not."""
        refusal = check(addresses, self._allowed)
        if refusal is not None:
            self._refusals[_ascii(host)] = refusal
        return refusal is None


@implementer(IResolutionReceiver)
class _GuardedReceiver:
    """Collects the addresses of one name until all are known, so that the name is judged as a whole."""

    def __init__(self, outer: Any, resolver: GuardedResolver, host: str) -> None:
        self._outer = outer
        self._resolver = resolver
        self._host = host
        self._addresses: list[Any] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:  # noqa: N802, N803 (the interface's names)
        self._outer.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:  # noqa: N802 (the interface's name)
        self._addresses.append(address)

    def resolutionComplete(self) -> None:  # noqa: N802 (the interface's name)
        if self._resolver.admit(self._host, [address.host for address in self._addresses]):
            for address in self._addresses:
                self._outer.addressResolved(address)
        self._outer.resolutionComplete()


def _ascii(host: str) -> str:
    # Twisted hands on the Unicode form of a name, URLs carry the ASCII one.
    try:
        return ada_url.idna_to_ascii(host).decode("ascii")
    except (ValueError, UnicodeError):
        return host
