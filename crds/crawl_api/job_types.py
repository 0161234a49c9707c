"""What each job type is told: the members of the union in `CrawlJob.spec`, one for each value of `type`."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from crawl_api.base import SpecModel, Url
from crawl_api.enums import JobType as JobType  # noqa: PLC0414 - part of this module's face

URL_RULE = {
    "rule": "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''",
    "message": "must be an absolute http:// or https:// URL",
}
WebUrl = Annotated[Url, Field(json_schema_extra={"x-kubernetes-validations": [URL_RULE]})]

PATTERN_RULE = {
    # What is no expression fails to evaluate, on both sides.
    "rule": "''.matches(self) || !''.matches(self)",
    "message": "must be a regular expression in RE2 syntax",
}
Pattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    Field(json_schema_extra={"x-kubernetes-validations": [PATTERN_RULE]}),
]

URLS_CEILING = 1000
"""The schema's own limit on a list of URLs; the operator's configured limit (50 by default) lies below it."""


class SingleCrawl(SpecModel):
    """Fetch one URL."""

    url: WebUrl
    """The page to fetch."""


class BatchCrawl(SpecModel):
    """Fetch a list of URLs; one bad URL never harms another."""

    urls: Annotated[tuple[WebUrl, ...], Field(min_length=1, max_length=URLS_CEILING)]
    """The pages to fetch. The operator's own limit is lower (50 unless configured otherwise)."""


class PdfCrawl(SpecModel):
    """Fetch PDF files: their text, page count and what they say of themselves."""

    urls: Annotated[tuple[WebUrl, ...], Field(min_length=1, max_length=URLS_CEILING)]
    """The files to fetch. The operator's own limit is lower (50 unless configured otherwise)."""
    max_bytes: Annotated[int, Field(ge=1, le=100 << 20)] = 100 << 20
    """Size limit of one file, in place of `fetch.maxBodyBytes`. A larger one is an error of that file."""


class SiteScope(StrEnum):
    """Which hosts belong to a site."""

    SAME_HOST = "SameHost"
    SAME_DOMAIN = "SameDomain"
    ANY = "Any"


class SitemapUse(StrEnum):
    """Where a site's own lists of its pages are looked for."""

    AUTO = "Auto"
    NONE = "None"


class CanonicalUse(StrEnum):
    """What a page's statement means that it is a copy of another one."""

    RESPECT = "Respect"
    IGNORE = "Ignore"


class SiteCrawl(SpecModel):
    """Follow links from start URLs. A page that failed or was a copy counts as a page too; a redirect does not."""

    start_urls: Annotated[tuple[WebUrl, ...], Field(min_length=1, max_length=100)]
    """Where the crawl begins. Where one redirects to another host, that host belongs to the site too."""
    max_depth: Annotated[int, Field(ge=0, le=1000)] = 5
    """Links from a start URL to a page at most; 0 fetches the start URLs alone."""
    max_pages: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Pages to fetch at most. A crawl that ends here has ended well."""
    scope: SiteScope = SiteScope.SAME_HOST
    """Which links lead out of the site: to another host, to another registered domain, or none."""
    allow: Annotated[tuple[Pattern, ...], Field(max_length=50)] = ()
    """Regular expressions (RE2), searched for in the whole URL: a link needs one that matches. Empty: every link."""
    deny: Annotated[tuple[Pattern, ...], Field(max_length=50)] = ()
    """As `allow`, for links that are not followed; it wins over `allow`. Start URLs are fetched in any case."""
    sitemaps: SitemapUse = SitemapUse.AUTO
    """`Auto`: those that robots.txt names, else /sitemap.xml of each start URL's host. Their pages have depth 1."""
    sitemap_urls: Annotated[tuple[WebUrl, ...], Field(max_length=100)] = ()
    """Further sitemaps or indexes of them, plain or gzipped."""
    canonical: CanonicalUse = CanonicalUse.RESPECT
    """`Respect`: a page that names another one of the site as its original is marked as its copy, the original is
    fetched, and the copy's links are not followed."""
    ignore_parameters: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=64)], ...], Field(max_length=50)
    ] = ()
    """Query parameters that make no other page, beside the usual ones of sessions and campaigns: they are cut off."""


Parameters = Annotated[dict[str, Any], Field(max_length=64)]


class MaintenanceRun(SpecModel):
    """Look after what crawls leave behind, or see whether all that they need is there. Nothing is crawled."""

    task: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
    """cache_cleanup, result_cleanup, health_check, or list_processors; another one fails the job, naming these."""
    parameters: Parameters = {}
    """What it is told, by its own schema."""


class CustomCrawl(SpecModel):
    """Run a processor that the worker's image brings."""

    processor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$", max_length=63)]
    """Its name; the Maintenance task list_processors tells those of an image, `scrapy` among them."""
    parameters: Parameters = {}
    """What it is told, by its own schema."""
