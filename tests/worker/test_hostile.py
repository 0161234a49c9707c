"""Servers that mean harm cost the crawl one page each, bounded in time and memory."""

import asyncio
from typing import Any

import pytest
from hostile_server import hostile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operator_stand_in import StandIn
from worker_process import Worker, assignment, peak_memory, records
from worker_site import PAGE, Site

from crawl_worker.extract.process import EXTRACTED, read_page
from crawl_worker.records import Extracted

MAX_BODY = 12 << 20
MEMORY = 512 << 20
"""The limit that workers have by default."""


CODES = {
    **dict.fromkeys(("gzip", "gzip-twice", "deflate", "br", "zstd", "lying-length"), "BodyTooLarge"),
    **dict.fromkeys(("self", "ping", "pong"), "TooManyRedirects"),
    **dict.fromkeys(("many-headers", "continuations", "endless-head"), "HeadTooLarge"),
    **dict.fromkeys(("endless-continuation", "endless-100"), "HeadTooLarge"),
    **dict.fromkeys(("endless-header", "endless-status", "endless-trailer", "huge-chunk"), "ConnectionFailed"),
    **dict.fromkeys(("slow-head", "slow-body"), "Timeout"),
    "far": "InvalidURL",
}
"""What must be an error, and which. How far a parser comes with a hostile page is its own affair."""


EVERYTHING = {
    **dict.fromkeys(("text", "markdown", "links", "metadata", "tables", "jsonLd", "images"), True),
    "selectors": [
        {"name": "elements", "css": "*", "many": True},
        {"name": "first", "css": "div"},
        {"name": "references", "css": "a", "attribute": "href", "many": True},
        {"name": "nodes", "xpath": "//*", "many": True},
        {"name": "attributes", "xpath": "//@*", "many": True},
        {"name": "values", "jsonpath": "$..*", "many": True},
    ],
}
"""All that can be taken from a page."""

TRUNCATED = {
    "links": "links",
    "base": "links",
    "images": "images",
    "wide": "tables",
    "rows": "tables",
    "nested": "fields",
}
"""Of which a hostile page has too much, where everything is taken from it."""


@pytest.mark.long
@pytest.mark.parametrize("extract", [{}, EVERYTHING], ids=["text", "everything"])
async def test_each_hostile_page_is_refused_or_bounded(
    worker: Worker, site: Site, operator: StandIn, extract: dict[str, Any]
) -> None:
    """No crash, no page lost, an error or a bounded record for each, and the good pages between them are read."""
    async with hostile() as server:
        good = [f"{site.url}/page/{n}" for n in range(3)]
        urls = [good[0], *server.urls, *good[1:]]
        fetch = {"timeoutSeconds": 12, "maxBodyBytes": MAX_BODY}
        job = assignment(operator, *urls, fetch=fetch, extract=extract, timeoutSeconds=100)
        process = await worker.start(job, CRAWL_EXTRACT_TIMEOUT_SECONDS="3", CRAWL_MEMORY_LIMIT_BYTES=str(MEMORY))
        watched = asyncio.create_task(peak_memory(process))
        ended = await worker.end(process, 100)
        assert set(server.asked) >= {url.rsplit("/", 1)[-1] for url in server.urls}
        assert max(server.sent.values()) < 2 * MAX_BODY, server.sent
    assert ended.code == 0, ended.log
    found = {record["url"].rsplit("/", 1)[-1]: record for record in records(ended)}
    codes = {name: record.get("error", {}).get("code") for name, record in found.items()}
    assert len(found) == len(urls)
    assert {name: codes[name] for name in CODES} == CODES
    assert codes["endless-body"] in {"BodyTooLarge", "Timeout"}
    assert set(codes.values()) <= {*CODES.values(), None, "ExtractionTimeout", "ExtractionFailed"}, codes
    assert [codes[f"{n}"] for n in range(3)] == [None] * 3
    assert len(found["title"]["title"]) == 1000
    assert (found["zip"].get("text"), found["zip"].get("title")) == (None, None)
    if extract:
        cut = {name: found[name].get("truncated", []) for name in TRUNCATED}
        assert {name: what for name, what in TRUNCATED.items() if what not in cut[name]} == {}, (cut, codes)
        assert len(found["links"]["links"]) == 10_000
        assert max(len(str(record)) for record in found.values()) < 20_000_000
    assert ended.outcome.failure is None
    assert await watched < MEMORY
    assert "Traceback" not in ended.log


async def test_no_page_leads_to_a_url_without_end(worker: Worker, operator: StandIn, site: Site) -> None:
    """A start that in its one spelling is longer than a record can name is an error of that start."""
    start = f"{site.url}/redirect?to=/page/1?{'ä' * 400}"
    wanted = {"startUrls": [start, f"{site.url}/page/7"], "maxDepth": 0, "sitemaps": "None"}
    ended = await worker.run(assignment(operator, start, type="Site", single=None, site=wanted))
    assert ended.code == 0, ended.log
    codes = {record["url"].rsplit("/", 1)[-1]: record.get("error", {}).get("code") for record in operator.lines}
    assert codes.pop("7") is None
    assert list(codes.values()) == ["InvalidURL"]


@pytest.mark.parametrize("name", ["ping", "endless-head", "slow-head", "gzip"])
async def test_a_site_whose_robots_txt_is_hostile_is_left_alone(worker: Worker, operator: StandIn, name: str) -> None:
    """What cannot be read allows nothing."""
    async with hostile() as server:
        server.robots = name
        ended = await worker.run(assignment(operator, f"{server.url}/zip", fetch={"timeoutSeconds": 2}))
        assert "zip" not in server.asked
    assert ended.outcome.failed == 1


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutilated_pages_are_read_or_refused(data: st.DataObject) -> None:
    """Whatever is cut, repeated or overwritten in a page, it has an answer that the parent takes."""
    page = bytearray(PAGE.format(n=1, next=2).encode())
    for _ in range(data.draw(st.integers(1, 8))):
        at, size = data.draw(st.integers(0, len(page))), data.draw(st.integers(0, 40))
        page[at : at + size] = data.draw(st.one_of(st.binary(max_size=40), st.just(bytes(page[at : at + 9]) * 50)))
    options = {"text": True, "markdown": True, "links": True, "metadata": True}
    head = {"url": "http://h/", "contentType": "text/html", "kind": "html", "options": options}
    answer = read_page(head, bytes(page))
    assert answer[:1] == EXTRACTED
    Extracted.model_validate_json(answer[1:])
