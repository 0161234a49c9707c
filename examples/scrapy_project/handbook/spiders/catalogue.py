"""Prices of the demo site's catalogue."""

from collections.abc import Iterator
from typing import Any

import scrapy
from scrapy.http import Response


class CatalogueSpider(scrapy.Spider):  # type: ignore[misc]  # Scrapy ships no types
    """Follow the catalogue's pages and take their prices.

    Args:
        start: URL of the catalogue.
    """

    name = "catalogue"

    def __init__(self, start: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.start_urls = [start]

    def parse(self, response: Response, **_: Any) -> Iterator[Any]:
        """Yield a page's price, and the pages that it links to."""
        price = response.css(".price::text").get()
        if price is not None:
            yield {"url": response.url, "title": response.css("h1::text").get(), "price": price}
        for link in response.css("a[href^='/catalogue/']"):
            yield response.follow(link, self.parse)
