"""What the worker is compared with, each a program: a bare spider tuned with the same libraries, and the usual one.

python -m crawl_benchmarks.spiders bare|idiomatic START PAGES FILE
"""

import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import ada_url
from scrapy import Request, Spider
from scrapy.crawler import CrawlerProcess
from scrapy.http import HtmlResponse, Response, TextResponse

REACTOR: Final = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
CONCURRENCY: Final = 10


class _Doc(Spider):
    """Starts at one page, and stays on its host."""

    def __init__(self, start: str, pages: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_url = start
        self.left = pages
        self.host = urlsplit(start).netloc

    async def start(self) -> AsyncIterator[Request]:
        """Yield the first request."""
        self.left -= 1
        yield Request(self.start_url, dont_filter=True)


class Bare(_Doc):
    """Links by selectolax, each seen once before a request is made; main text by resiliparse."""

    name = "bare"

    def __init__(self, start: str, pages: int, **kwargs: Any) -> None:
        super().__init__(start, pages, **kwargs)
        self.seen = {start}

    def parse(self, response: Response) -> Iterator[Any]:
        """Yield the item, and a request for each new link."""
        if not isinstance(response, HtmlResponse):
            yield {"url": response.url, "text": response.text if isinstance(response, TextResponse) else None}
            return
        from resiliparse.extract.html2text import extract_plain_text  # noqa: PLC0415 - not needed by the other one
        from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415

        html = response.text
        tree = LexborHTMLParser(html)
        title = tree.css_first("title")
        links: dict[str, None] = {}
        for node in tree.css("a[href]"):
            try:
                url = ada_url.URL(node.attributes["href"] or "", response.url)
            except ValueError:
                continue
            if url.protocol in {"http:", "https:"}:
                url.hash = ""
                links[str(url.href)] = None
        yield {
            "url": response.url,
            "title": title.text() if title is not None else None,
            "text": extract_plain_text(html, main_content=True),
            "links": list(links),
        }
        for link in links:
            if link not in self.seen and ada_url.URL(link).host == self.host and self.left > 0:
                self.seen.add(link)
                self.left -= 1
                yield Request(link, dont_filter=True)


class Idiomatic(_Doc):
    """As Scrapy's tutorial has it: CSS for links, all of them followed, the framework drops others' and duplicates."""

    name = "idiomatic"

    def __init__(self, start: str, pages: int, **kwargs: Any) -> None:
        super().__init__(start, pages, **kwargs)
        self.allowed_domains = [urlsplit(start).hostname]

    def parse(self, response: Response) -> Iterator[Any]:
        """Yield the item, and follow all links."""
        if not isinstance(response, HtmlResponse):
            return
        import trafilatura  # noqa: PLC0415 - not needed by the other one

        yield {
            "url": response.url,
            "title": response.css("title::text").get(),
            "text": trafilatura.extract(response.text),
            "links": response.css("a::attr(href)").getall(),
        }
        yield from response.follow_all(css="a")


def main() -> None:
    """Run the spider that is named."""
    kind, start, pages, file = sys.argv[1:]
    settings = {
        "CLOSESPIDER_PAGECOUNT": int(pages) if kind == "idiomatic" else 0,
        "CONCURRENT_REQUESTS": CONCURRENCY,
        "CONCURRENT_REQUESTS_PER_DOMAIN": CONCURRENCY,
        "COOKIES_ENABLED": False,
        "DOWNLOAD_DELAY": 0,
        "FEEDS": {file: {"format": "jsonlines"}},
        "LOG_ENABLED": False,
        "RETRY_ENABLED": False,
        "ROBOTSTXT_OBEY": False,
        "TELNETCONSOLE_ENABLED": False,
        "TWISTED_REACTOR": REACTOR,
    }
    process = CrawlerProcess(settings)
    process.crawl({"bare": Bare, "idiomatic": Idiomatic}[kind], start=start, pages=int(pages))
    process.start()


if __name__ == "__main__":
    main()
