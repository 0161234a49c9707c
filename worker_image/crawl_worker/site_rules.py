"""Which links belong to a site, and under which spelling a page is one page: pure, so that traps can be tried on it."""

from collections import Counter
from typing import Final, Protocol
from urllib.parse import unquote_plus

import ada_url
import re2
from tldextract import TLDExtract

from crawl_api.base import MAX_URL
from crawl_api.job_types import SiteCrawl, SiteScope
from crawl_worker.fetch.urls import host_of
from crawl_worker.findings import Visit, VisitKind

SESSIONS: Final = frozenset(
    {"jsessionid", "phpsessid", "aspsessionid", "sessionid", "session_id", "sid", "cfid", "cftoken"}
)
CAMPAIGNS: Final = frozenset({"gclid", "dclid", "fbclid", "msclkid", "yclid", "mc_cid", "mc_eid", "igshid", "_ga"})
_CAMPAIGN_PREFIX: Final = "utm_"

MAX_SEGMENTS: Final = 32
"""Of a path: beyond it, links build on each other."""
MAX_REPEATS: Final = 3
"""How often one segment may stand in a path: a relative link in the wrong place adds it again on each page."""
MAX_QUERIES: Final = 1000
"""Different queries that one path is asked with: calendars and filters never run out of them."""

_DOMAINS: Final = TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)
"""By the list of suffixes that comes with the library: nothing is fetched for it."""


class Rules(Protocol):
    """What a frontier asks about a URL that it hears of for the first time."""

    def clean(self, url: str) -> str:
        """Return the URL without what makes no other page."""

    def identity(self, url: str) -> str:
        """Return the spelling by which a clean URL is known."""

    def admits(self, visit: Visit) -> bool:
        """Say whether to go there."""


class EveryUrl:
    """The rules of a job that names its URLs itself."""

    def clean(self, url: str) -> str:
        """Return it as it is."""
        return url

    def identity(self, url: str) -> str:
        """Return it as it is."""
        return url

    def admits(self, visit: Visit) -> bool:
        """Admit all."""
        return True


class SiteRules:
    """The rules of one site.

    Args:
        site: as the user describes it.
    """

    def __init__(self, site: SiteCrawl) -> None:
        self._site = site
        self._allow = [re2.compile(pattern) for pattern in site.allow]
        self._deny = [re2.compile(pattern) for pattern in site.deny]
        self._ignored = SESSIONS | CAMPAIGNS | {name.lower() for name in site.ignore_parameters}
        self._hosts: set[str] = set()
        self._queries: Counter[str] = Counter()

    def belongs(self, url: str) -> None:
        """Take the host of a normalised URL, or its domain, for a part of the site."""
        self._hosts.add(self._realm(url))

    def clean(self, url: str) -> str:
        """Return the URL without parameters of sessions and campaigns, in path and query."""
        parsed = ada_url.URL(url)
        if ";" in parsed.pathname:
            parsed.pathname = "/".join(map(self._without_session, parsed.pathname.split("/")))
        if parsed.search:
            kept = [part for part in parsed.search[1:].split("&") if part and not self._is_ignored(part)]
            parsed.search = "&".join(kept)
        return str(parsed.href)

    def _without_session(self, segment: str) -> str:
        name, *parameters = segment.split(";")
        return ";".join([name, *(each for each in parameters if not self._is_ignored(each))])

    def _is_ignored(self, parameter: str) -> bool:
        name = unquote_plus(parameter.partition("=")[0]).lower()
        return name in self._ignored or name.startswith(_CAMPAIGN_PREFIX)

    def identity(self, url: str) -> str:
        """Return the URL with its query in order."""
        path, mark, query = url.partition("?")
        return f"{path}?{'&'.join(sorted(query.split('&')))}" if mark else path

    def admits(self, visit: Visit) -> bool:
        """Say whether to go there: scope, depth, patterns, and no trap."""
        if visit.depth == 0:
            return True
        if visit.depth > self._site.max_depth or len(visit.url) > MAX_URL or not self._in_scope(visit.url):
            return False
        if visit.kind is VisitKind.SITEMAP:
            return True
        return self._wanted(visit.url) and not self._trap(visit.url)

    def same_site(self, url: str) -> bool:
        """Say whether a normalised URL belongs to the site and is wanted."""
        return self._in_scope(url) and self._wanted(url)

    def _in_scope(self, url: str) -> bool:
        return self._site.scope is SiteScope.ANY or self._realm(url) in self._hosts

    def _realm(self, url: str) -> str:
        host = host_of(url)
        if self._site.scope is SiteScope.SAME_DOMAIN:
            return _DOMAINS.extract_str(host).top_domain_under_public_suffix or host
        return host

    def _wanted(self, url: str) -> bool:
        if any(pattern.search(url) for pattern in self._deny):
            return False
        return not self._allow or any(pattern.search(url) for pattern in self._allow)

    def _trap(self, url: str) -> bool:
        path, mark, _ = url.partition("?")
        segments = [segment for segment in path.split("/")[3:] if segment]
        if len(segments) > MAX_SEGMENTS or max(Counter(segments).values(), default=0) > MAX_REPEATS:
            return True
        if mark:
            self._queries[path] += 1
        return self._queries[path] > MAX_QUERIES if mark else False
