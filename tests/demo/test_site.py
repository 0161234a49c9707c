"""The demo site keeps the promises that crawl tests are built on."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.request import urlopen

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from demo.pages import children
from demo.render import PDF_PATH
from demo.serving import LoopbackServer
from demo.site import FAILURES, PAGES, REDIRECTS, DemoSite, Page, page


@pytest.fixture
async def site() -> AsyncIterator[DemoSite]:
    async with DemoSite(delays={"/slow": 0.05}) as running:
        yield running


@pytest.fixture
async def http(site: DemoSite) -> AsyncIterator[ClientSession]:
    async with ClientSession(site.base_url) as session:
        yield session


class Markup(HTMLParser):
    """The title, the paragraphs and the attributes of a page, read by a parser that the site does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.links: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.texts.setdefault(tag, []).append("")
        self.attributes.append({"": tag, **dict(attrs)})
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open][-1] += data.rstrip("\n")


def read(html: str) -> Markup:
    markup = Markup()
    markup.feed(html)
    return markup


@pytest.mark.parametrize("expected", PAGES.values(), ids=PAGES.keys())
async def test_page_says_what_the_accessor_says(site: DemoSite, http: ClientSession, expected: Page) -> None:
    async with http.get(URL(site.url(expected.path), encoded=True)) as response:
        assert response.status == 200
        assert (response.charset is not None) is expected.charset_in_header
        markup = read((await response.read()).decode(expected.encoding))
    assert markup.texts["title"] == [expected.title]
    paragraphs = [text for text in markup.texts["p"] if text]
    assert paragraphs[: len(expected.paragraphs)] == list(expected.paragraphs)
    assert markup.attributes[0] == {"": "html", "lang": expected.language} | (
        {} if expected.malformed else {"dir": expected.direction}
    )
    prices = [attributes for attributes in markup.attributes if attributes.get("class") == "price"]
    assert [attributes["value"] for attributes in prices] == ([expected.price] if expected.price else [])


async def test_every_link_leads_somewhere_and_every_public_page_is_linked(http: ClientSession) -> None:
    seen: set[str] = set()
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        async with http.get(URL(path, encoded=True)) as response:
            assert response.status == 200, path
            if response.content_type == "text/html":
                known = PAGES.get(response.url.path)
                waiting += read(await response.text(known.encoding if known else None)).links
    assert seen == {each.quoted for each in PAGES.values() if each.path != "/private/notes"} | {"/moved", PDF_PATH}


def test_there_is_enough_to_crawl() -> None:
    assert len(PAGES) > 40
    assert len({each.text for each in PAGES.values()}) == len(PAGES)
    assert len(children(page("/catalogue/"))) == 24
    assert page("/languages/%CE%B5%CE%BB%CE%BB%CE%B7%CE%BD%CE%B9%CE%BA%CE%AC").language == "el"
    with pytest.raises(KeyError):
        page("/nowhere")


@pytest.mark.parametrize("path", REDIRECTS)
async def test_redirect_names_its_target(http: ClientSession, path: str) -> None:
    async with http.get(path, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == REDIRECTS[path]


async def test_redirect_chain_ends_at_a_page(http: ClientSession) -> None:
    async with http.get("/moved") as response:
        assert response.status == 200
        assert response.url.path == "/guide/length"
        assert [hop.status for hop in response.history] == [301, 301]


@pytest.mark.parametrize(("path", "status"), [*FAILURES.items(), ("/nowhere", 404), ("/guide", 404)])
async def test_dead_ends(http: ClientSession, path: str, status: int) -> None:
    async with http.get(path) as response:
        assert response.status == status


async def test_robots_and_pdf(http: ClientSession) -> None:
    async with http.get("/robots.txt") as response:
        assert response.content_type == "text/plain"
        assert "Disallow: /private/" in await response.text()
    async with http.get(PDF_PATH) as response:
        assert response.content_type == "application/pdf"
        document = await response.read()
    start = int(document.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    table = document[start:].splitlines()
    assert table[0] == b"xref"
    for number, entry in enumerate(table[3:8], 1):
        assert document[int(entry.split()[0]) :].startswith(b"%d 0 obj" % number)


async def test_only_reading_is_allowed(http: ClientSession) -> None:
    async with http.post("/", data=b"x") as response:
        assert response.status == 405
    async with http.head("/") as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_requests_are_counted_and_the_most_at_once_is_kept() -> None:
    answered = asyncio.Event()

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        await answered.wait()
        return web.Response()

    async with LoopbackServer(answer) as site, ClientSession(site.base_url) as http:

        async def get(path: str) -> None:
            async with http.get(path) as response:
                await response.read()

        paths = [*["/guide/length"] * 3, "/languages/ελληνικά", "/robots.txt"]
        asked = asyncio.gather(*(get(path) for path in paths))
        async with asyncio.timeout(30):
            while site.in_flight < len(paths):  # noqa: ASYNC110 - the server has no event to wait for
                await asyncio.sleep(0.01)
        answered.set()
        await asked
        assert site.requests == {"/guide/length": 3, "/languages/ελληνικά": 1, "/robots.txt": 1}
        assert site.peak_in_flight == 5
        assert site.in_flight == 0


async def test_a_client_that_hangs_up_is_not_in_flight() -> None:
    async with DemoSite(delay=60) as slow, ClientSession(slow.base_url) as http:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), http.get("/"):
                raise AssertionError("the page came at once")
        for _ in range(500):
            if not slow.in_flight:
                break
            await asyncio.sleep(0.01)
        assert slow.in_flight == 0


def test_blocking_callers_are_served_from_a_thread() -> None:
    with DemoSite() as site, urlopen(site.url("/guide/"), timeout=5) as response:  # noqa: S310 - our own http URL
        assert page("/guide/").title.encode() in response.read()


def test_a_taken_port_is_an_error_and_leaves_nothing_behind() -> None:
    with DemoSite() as site, pytest.raises(OSError, match="address already in use"), DemoSite(port=site.port):
        pass


def test_a_client_that_reads_nothing_keeps_no_connection() -> None:
    """Unread bytes in a connection's buffer would keep it beyond the server's end, and its loop's."""

    async def endless(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=bytes(50 << 20))

    with socket.socket() as client:
        with LoopbackServer(endless) as server:
            client.connect((server.host, server.port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(4) == b"HTTP"
        client.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(1 << 20):
                pass  # what was on its way
