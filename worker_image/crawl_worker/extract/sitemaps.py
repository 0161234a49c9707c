"""Reading a sitemap, an index of sitemaps or a plain list of URLs; gzipped or not."""

from typing import Final

from scrapy.utils.gz import gunzip
from scrapy.utils.sitemap import Sitemap

from crawl_api.base import MAX_URL, ApiModel
from crawl_worker.errors import PageError
from crawl_worker.fetch.urls import normalise

MAX_URLS: Final = 50_000
"""URLs that one sitemap may list; the protocol's own limit."""
_MAX_BYTES: Final = 50 << 20
"""The protocol's limit, after decompression."""


class SitemapLinks(ApiModel):
    """What a sitemap leads to: absolute URLs, in its order."""

    pages: list[str] = []
    sitemaps: list[str] = []


def read_sitemap(body: bytes, url: str) -> SitemapLinks:
    """Return what a sitemap lists.

    Args:
        body: as received.
        url: the sitemap's own, against which URLs are resolved.

    Raises:
        Exception: anything that a parser raises on what is no sitemap.
    """
    if body[:2] == b"\x1f\x8b":
        body = gunzip(body, max_size=_MAX_BYTES)
    if not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return SitemapLinks(pages=_absolute(body.decode("utf-8", "replace").splitlines()[:MAX_URLS], url))
    sitemap = Sitemap(body)
    listed = []
    for entry in sitemap:
        listed.append(entry["loc"])
        if len(listed) == MAX_URLS:
            break
    links = _absolute(listed, url)
    return SitemapLinks(sitemaps=links) if sitemap.type == "sitemapindex" else SitemapLinks(pages=links)


def _absolute(urls: list[str], base: str) -> list[str]:
    absolute = []
    for url in urls:
        if url.strip() and len(url) <= MAX_URL:
            try:
                absolute.append(normalise(url.strip(), base))
            except PageError:
                continue
    return absolute
