"""Lists of videos, page by page: fetched and read through the context, so with manners, guard and time limits."""

from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode, urljoin

from crawl_api.options import ExtractOptions, Selector
from crawl_videos.parameters import ChannelScrape, KeywordSearch, TrendingScrape
from crawl_worker.context import Context
from crawl_worker.errors import PageError
from crawl_worker.extract.pages import Kind
from crawl_worker.extract.pool import Source
from crawl_worker.fetch.urls import normalise
from crawl_worker.records import Extracted, Record

MAX_LISTS: Final = 50
"""Pages of one list."""

_WANTED: Final = ExtractOptions(
    text=False, metadata=False, json_ld=True, selectors=(Selector(name="next", css="a[rel~=next]", attribute="href"),)
)


def channel(parameters: ChannelScrape, context: Context) -> AsyncGenerator[Record, None]:
    """Yield a record for each of a channel's newest videos."""
    since = None
    if parameters.max_age_days is not None:
        since = datetime.now(UTC).date() - timedelta(days=parameters.max_age_days)
    return _listed(parameters.channel_url, parameters.top_n, context, since)


def trending(parameters: TrendingScrape, context: Context) -> AsyncGenerator[Record, None]:
    """Yield a record for each of the videos that are watched most."""
    query = urlencode({"country": parameters.country, "category": parameters.category})
    return _listed(f"{parameters.site}/trending?{query}", parameters.top_n, context)


def search(parameters: KeywordSearch, context: Context) -> AsyncGenerator[Record, None]:
    """Yield a record for each video that is found."""
    query = urlencode({"q": parameters.query, "date": parameters.date_filter, "sort": parameters.sort_by})
    return _listed(f"{parameters.site}/search?{query}", parameters.top_n, context)


async def _listed(start: str, top_n: int, context: Context, since: date | None = None) -> AsyncGenerator[Record, None]:
    """Yield the videos of a list until there are enough of them; a list that cannot be read is an error of its own."""
    url: str | None = start
    rank = 0
    for _ in range(MAX_LISTS):
        if url is None:
            return
        try:
            url = normalise(url)
            page = await _read(url, context)
        except PageError as error:
            yield Record(url=url, error=error.job_error(url, context.job.attempt))
            return
        for video in _videos(page.json_ld):
            if since is not None and (_day(video) or since) < since:
                continue
            rank += 1
            yield Record(url=urljoin(url, str(video["url"])), data=_told(video, rank))
            if rank == top_n:
                return
        following = (page.fields or {}).get("next")
        url = urljoin(url, following) if following else None


async def _read(url: str, context: Context) -> Extracted:
    page = await context.fetch(url)
    if page.error is not None:
        raise page.error
    return await context.extract(Source(page.final_url, page.content_type, Kind.HTML, page.body), _WANTED)


def _videos(documents: list[Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the videos of the lists among a page's documents."""
    for document in documents or []:
        if isinstance(document, dict) and document.get("@type") == "ItemList":
            for element in document.get("itemListElement") or []:
                video = element.get("item", element) if isinstance(element, dict) else None
                if isinstance(video, dict) and video.get("@type") == "VideoObject" and video.get("url"):
                    yield video


def _told(video: dict[str, Any], rank: int) -> dict[str, Any]:
    channel_of = video.get("author")
    return {
        "rank": rank,
        "title": video.get("name"),
        "published": video.get("uploadDate"),
        "views": video.get("interactionCount"),
        "channel": channel_of.get("name") if isinstance(channel_of, dict) else channel_of,
    }


def _day(video: dict[str, Any]) -> date | None:
    try:
        return date.fromisoformat(str(video.get("uploadDate"))[:10])
    except ValueError:
        return None
