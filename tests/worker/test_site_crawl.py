"""A whole site from its start URL: every page that belongs to it, each once, and nothing else."""

import time
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from aiohttp import web
from made_sites import MadeSites, Pages, linking, paths, redirect, site_job
from operator_stand_in import StandIn, serving
from trap_site import ARTICLES, TrapSite
from worker_process import Worker

import doctree


@pytest.fixture(params=[400, pytest.param(ARTICLES, marks=pytest.mark.faults)])
async def traps(request: pytest.FixtureRequest) -> AsyncIterator[TrapSite]:
    site = TrapSite(articles=request.param)
    async with serving(site.application()) as port:
        site.url = f"http://127.0.0.1:{port}"
        yield site


@pytest.mark.timeout(300)
async def test_the_pages_among_traps_are_exactly_those_of_the_oracle(
    worker: Worker, traps: TrapSite, operator: StandIn
) -> None:
    """Each is fetched once; what robots.txt forbids, what is out of scope and what never ends is left alone."""
    ended = await worker.run(site_job(operator, traps.start, more={"timeoutSeconds": 270}, maxDepth=traps.depth), 280)
    assert ended.code == 0, ended.log
    crawled = [record["url"] for record in operator.lines]
    expected = traps.oracle()
    forbidden = {f"{traps.url}/secret/plans"}
    assert len(expected) >= traps.articles + 370
    assert set(crawled) - forbidden == expected
    assert len(crawled) == len(set(crawled))
    assert list(traps.repeated()) == []
    assert not traps.forbidden
    assert traps.most_in_flight <= 10
    errors = {record["url"]: record["error"]["code"] for record in operator.lines if "error" in record}
    assert errors == {f"{traps.url}/broken": "HTTP_404", f"{traps.url}/secret/plans": "RobotsDisallowed"}
    outcome = ended.outcome
    assert (outcome.total, outcome.succeeded, outcome.failed) == (len(crawled), len(crawled) - 2, 2)
    assert (outcome.items, outcome.retryable) == (len(crawled), 0)


class _Links(HTMLParser):
    """Collects the links of a page, with nothing of the worker's."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"a", "area"}:
            self.found += [value.strip() for name, value in attrs if name == "href" and value]


def reachable(root: Path) -> set[str]:
    """Return the files of a tree to which links lead from its index, by a walk over the files."""
    todo, found = ["index.html"], {"index.html"}
    while todo:
        path = todo.pop()
        if not path.endswith(".html"):
            continue
        links = _Links()
        links.feed((root / path).read_text(encoding="utf-8"))
        for link in links.found:
            target = urlsplit(urldefrag(urljoin(f"http://tree/{path}", link)).url)
            name = target.path.lstrip("/")
            name = f"{name}index.html" if name.endswith("/") or not name else name
            if target.netloc == "tree" and name not in found and (root / name).is_file():
                found.add(name)
                todo.append(name)
    return found


@pytest.mark.timeout(300)
@pytest.mark.long
async def test_a_documentation_tree_is_crawled_from_its_index_as_far_as_links_lead(
    worker: Worker, operator: StandIn
) -> None:
    """Compared with a walk over the files, by another parser: the same pages, and nearly all that there are."""
    tree = doctree.require()
    with doctree.DocTreeServer(tree.root) as server:
        more = {"extract": {"text": False, "metadata": False}, "timeoutSeconds": 270}
        ended = await worker.run(site_job(operator, server.url("index.html"), more=more, maxDepth=50), 280)
    assert ended.code == 0, ended.log
    crawled = {urlsplit(record["url"]).path.lstrip("/") for record in operator.lines if "error" not in record}
    crawled = {f"{path}index.html" if path.endswith("/") or not path else path for path in crawled}
    pages = {path for path in crawled if path.endswith(".html")}
    expected = {path for path in reachable(tree.root) if path.endswith(".html")}
    assert pages == expected
    assert len(pages & set(tree.pages)) > 0.95 * len(tree.pages)


async def test_patterns_decide_what_is_followed(worker: Worker, operator: StandIn, serve: MadeSites) -> None:
    """`allow` lets in, `deny` wins; start URLs and sitemaps' pages are no exception to `deny` but the former."""
    links = ["/en/a", "/en/archive/b", "/de/c", "/en/d?print=1"]
    url, _ = await serve({"/": linking(*links), **{link: linking(text=link) for link in links}})
    await worker.run(site_job(operator, f"{url}/", allow=["/en/.*"], deny=["/en/archive/", r"[?&]print="]))
    assert paths(operator) == ["", "en/a"]


async def test_the_page_limit_is_a_good_end(worker: Worker, operator: StandIn, serve: MadeSites) -> None:
    """Not one page more, also with requests in flight."""
    pages = {f"/{n}": linking(text=str(n)) for n in range(50)}
    url, asked = await serve({"/": linking(*pages), **pages})
    ended = await worker.run(site_job(operator, f"{url}/", maxPages=23))
    assert ended.code == 0, ended.log
    assert (ended.outcome.total, ended.outcome.succeeded, ended.outcome.items) == (23, 23, 23)
    assert sum(count for path, count in asked.items() if path[1:].isdecimal() or path == "/") == 23


@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_a_pages_depth_is_the_shortest_way_however_slow_it_is(
    worker: Worker, operator: StandIn, serve: MadeSites, depth: int
) -> None:
    """`/far` is two links from the start by the slow page and three by the fast one."""

    def slow(_request: web.Request) -> web.Response:
        time.sleep(0.5)
        return web.Response(text=linking("/far", text="slow"), content_type="text/html")

    url, _ = await serve(
        {
            "/": linking("/fast", "/slow"),
            "/fast": linking("/step", text="fast"),
            "/step": linking("/far", text="step"),
            "/slow": slow,
            "/far": linking("/beyond", text="far"),
        }
    )
    await worker.run(site_job(operator, f"{url}/", maxDepth=depth))
    assert paths(operator) == [[""], ["", "fast", "slow"], ["", "far", "fast", "slow", "step"]][depth]


async def test_copies_are_marked_and_originals_are_fetched(worker: Worker, operator: StandIn, serve: MadeSites) -> None:
    """A canonical link leads to the original; the same bytes under another URL are a copy without content."""
    url, _ = await serve(
        {
            "/": linking("/a?view=list", "/b", "/c"),
            "/a?view=list": linking("/only-in-copies", head='<link rel="canonical" href="/a">', text="a"),
            "/a": linking("/d", head='<link rel="canonical" href="/a">', text="a"),
            "/b": linking("/d", text="same"),
            "/c": linking("/d", text="same"),
            "/d": linking(head='<link rel="canonical" href="http://elsewhere.invalid/">', text="d"),
        }
    )
    await worker.run(site_job(operator, f"{url}/", more={"fetch": {"concurrency": 1}}))
    found = {record["url"].removeprefix(url): record for record in operator.lines}
    assert {path: record.get("duplicateOf", "").removeprefix(url) for path, record in found.items()} == {
        "/": "",
        "/a?view=list": "/a",
        "/a": "",
        "/b": "",
        "/c": "/b",
        "/d": "",
    }
    assert found["/b"]["digest"] == found["/c"]["digest"]
    assert "text" in found["/b"]
    assert "text" not in found["/c"]


async def test_a_canonical_link_can_be_ignored(worker: Worker, operator: StandIn, serve: MadeSites) -> None:
    head = '<link rel="canonical" href="/">'
    url, _ = await serve({"/": linking("/a"), "/a": linking("/b", head=head), "/b": linking(head=head, text="b")})
    await worker.run(site_job(operator, f"{url}/", canonical="Ignore"))
    assert paths(operator) == ["", "a", "b"]


async def test_a_start_that_redirects_takes_its_target_into_the_site(
    worker: Worker, operator: StandIn, serve: MadeSites
) -> None:
    """As `example.org` does to `www.example.org`; other redirects must stay inside."""
    pages: Pages = {"/": linking("/a", "/out"), "/a": linking(text="a")}
    target, _ = await serve(pages, "127.0.0.2")
    pages["/out"] = redirect(target.replace("127.0.0.2", "127.0.0.3"))
    start, _ = await serve({"/": redirect(f"{target}/")})
    ended = await worker.run(site_job(operator, f"{start}/"))
    assert [record["url"] for record in operator.lines] == [f"{target}/", f"{target}/a"], ended.log


async def test_a_host_that_asks_for_a_pause_gets_it_and_no_page_is_lost(
    worker: Worker, operator: StandIn, serve: MadeSites
) -> None:
    """429 with Retry-After: nobody asks until it is over, and then the page is fetched after all."""
    times: list[float] = []
    busy = iter([True, False])

    def once_busy(_request: web.Request) -> web.Response:
        times.append(time.monotonic())
        if next(busy, False):
            return web.Response(status=429, headers={"Retry-After": "2"})
        return web.Response(text=linking(text="busy"), content_type="text/html")

    url, _ = await serve({"/": linking("/busy"), "/busy": once_busy})
    ended = await worker.run(site_job(operator, f"{url}/"))
    assert paths(operator) == ["", "busy"]
    assert ended.outcome.failed == 0
    assert times[1] - times[0] >= 1.9


async def test_a_crawl_delay_is_kept(worker: Worker, operator: StandIn, serve: MadeSites) -> None:
    """Nothing is asked for before its turn, counted from the answer that told of the delay; it may arrive late."""
    times: list[float] = []

    def timed(request: web.Request) -> web.Response:
        times.append(time.monotonic())
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nCrawl-delay: 0.5\nSitemap: /none")
        links = ["/4", "/5"] if request.path == "/" else []
        return web.Response(text=linking(*links, text=request.path), content_type="text/html")

    url, _ = await serve(dict.fromkeys(("/robots.txt", "/none", "/", *(f"/{n}" for n in range(1, 6))), timed))
    await worker.run(site_job(operator, f"{url}/", startUrls=[f"{url}/", *(f"{url}/{n}" for n in range(1, 4))]))
    assert len(times) == 8
    assert all(at - times[0] >= 0.5 * number for number, at in enumerate(times))
