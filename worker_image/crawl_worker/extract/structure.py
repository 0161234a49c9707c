"""What a page holds beside its text: links, images, tables, JSON-LD, and what it says of itself."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import ada_url
from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawl_worker.extract.bounds import Cuts, clean, tidy, walked
from crawl_worker.records import Image, Metadata, Table

MAX_LINKS: Final = 10_000
MAX_URL: Final = 2_048
MAX_IMAGES: Final = 2_000
MAX_TABLES: Final = 100
MAX_ROWS: Final = 2_000
"""Of one table."""
MAX_COLUMNS: Final = 200
MAX_CELL: Final = 1_000
MAX_JSON_LD: Final = 50
"""Documents of one page."""
MAX_JSON_LD_TEXT: Final = 200_000
"""Characters of one document; a longer one is left out."""
MAX_META_TAGS: Final = 100
MAX_META_VALUE: Final = 1_000
MAX_AUTHORS: Final = 20

_NAMES: Final = ("name", "property", "itemprop")
_TIMES: Final = "time[datetime][pubdate], time[datetime][itemprop=datePublished]"
_AUTHOR: Final = ("author", "article:author", "dc.creator", "dcterms.creator", "citation_author", "parsely-author")
_PUBLISHED: Final = ("article:published_time", "datepublished", "dc.date.issued", "dcterms.issued", "citation_date")
_ANY_DATE: Final = ("pubdate", "publishdate", "date", "dc.date", "parsely-pub-date")
_MODIFIED: Final = ("article:modified_time", "og:updated_time", "datemodified", "dcterms.modified", "last-modified")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s?(Z|[+-]\d{2}:?\d{2})?)?")


def base_url(tree: LexborHTMLParser, url: str) -> str:
    """Return what relative URLs of a page are resolved against."""
    node = tree.css_first("base[href]")
    return (absolute(node.attributes.get("href"), url) if node is not None else None) or url


def absolute(href: str | None, base: str) -> str | None:
    """Return an http or https URL without its fragment; None for what is none."""
    if not href or len(href) > MAX_URL:
        return None
    try:
        parsed = ada_url.URL(href.strip(), base)
    except (ValueError, UnicodeError):
        return None
    if parsed.protocol not in {"http:", "https:"}:
        return None
    parsed.hash = ""
    return str(parsed.href)


def links(tree: LexborHTMLParser, base: str) -> Iterator[str]:
    """Yield where a page leads to, each once."""
    seen: set[str] = set()
    for node in tree.css("a[href], area[href]"):
        link = absolute(node.attributes.get("href"), base)
        if link is not None and link not in seen:
            seen.add(link)
            yield link


def images(tree: LexborHTMLParser, base: str) -> Iterator[Image]:
    """Yield a page's images, each once."""
    seen: set[str] = set()
    for node in tree.css("img"):
        attributes = node.attributes
        url = absolute(attributes.get("src") or attributes.get("data-src"), base)
        if url is not None and url not in seen:
            seen.add(url)
            yield Image(url=url, alt=clean((attributes.get("alt") or "")[:MAX_CELL]) or None)


def tables(tree: LexborHTMLParser, cuts: Cuts) -> list[Table]:
    """Return a page's tables; one inside of another is a table of its own."""
    return cuts.listed("tables", (_table(node, cuts) for node in tree.css("table")), MAX_TABLES)


def _table(node: LexborNode, cuts: Cuts) -> Table:
    caption = next((each.text().strip() for each in node.iter() if each.tag == "caption"), "")
    rows = cuts.listed("tables", _rows(node), MAX_ROWS)
    texts = [cuts.listed("tables", _cells(row, cuts), MAX_COLUMNS) for row in rows]
    return Table(caption=cuts.text("tables", caption, MAX_CELL) or None, rows=[row for row in texts if row])


def _rows(table: LexborNode) -> Iterator[LexborNode]:
    for child in table.iter():
        if child.tag == "tr":
            yield child
        elif child.tag in {"thead", "tbody", "tfoot"}:
            yield from (row for row in child.iter() if row.tag == "tr")


def _cells(row: LexborNode, cuts: Cuts) -> Iterator[str]:
    for cell in row.iter():
        if cell.tag in {"td", "th"}:
            yield cuts.text("tables", " ".join(cell.text(separator=" ").split()), MAX_CELL)


def json_ld(tree: LexborHTMLParser, cuts: Cuts) -> list[Any]:
    """Return a page's JSON-LD documents; what is none is passed over."""
    found: list[Any] = []
    for node in tree.css('script[type="application/ld+json"]'):
        text = node.text()
        if len(text) > MAX_JSON_LD_TEXT or len(found) == MAX_JSON_LD:
            cuts.note("jsonLd")
            continue
        try:
            found.append(tidy(json.loads(text)))
        except (ValueError, RecursionError):
            continue
    return found


def metadata(tree: LexborHTMLParser, base: str, documents: list[Any]) -> Metadata:
    """Return what a page says of itself, in its head and in its JSON-LD documents."""
    meta: dict[str, str] = {}
    authors: list[str] = []
    for node in tree.css("meta[content]"):
        attributes = node.attributes
        name = next((named for each in _NAMES if (named := attributes.get(each))), "").strip().lower()
        value = clean((attributes.get("content") or "")[:MAX_META_VALUE])
        if name in _AUTHOR:
            authors.append(value)
        if name and name not in meta and len(meta) < MAX_META_TAGS:
            meta[clean(name[:MAX_META_VALUE])] = value
    told = list(walked(documents))
    html = tree.css_first("html[lang]")
    canonical = tree.css_first("link[rel~=canonical][href]")
    times = [node.attributes.get("datetime") for node in tree.css(_TIMES)]
    return Metadata(
        description=meta.get("description") or meta.get("og:description"),
        language=clean((html.attributes.get("lang") or "")[:64]) or None if html is not None else None,
        canonical=absolute(canonical.attributes.get("href"), base) if canonical is not None else None,
        authors=_authors([*authors, *_told_authors(told)]),
        published=_date((*_named(meta, _PUBLISHED), *_said(told, "datePublished"), *times, *_named(meta, _ANY_DATE))),
        modified=_date((*_named(meta, _MODIFIED), *_said(told, "dateModified"))),
        meta=meta,
    )


def _named(meta: dict[str, str], names: Iterable[str]) -> list[str]:
    return [meta[name] for name in names if name in meta]


def _said(told: list[dict[str, Any]], name: str) -> list[Any]:
    return [each[name] for each in told if name in each]


def _told_authors(told: list[dict[str, Any]]) -> Iterator[str]:
    for author in _said(told, "author"):
        for each in author if isinstance(author, list) else [author]:
            name = each.get("name") if isinstance(each, dict) else each
            if isinstance(name, str):
                yield name


def _authors(names: list[str]) -> list[str] | None:
    """Return names, each once; an address is no name."""
    tidied = (" ".join(name.split())[:MAX_META_VALUE] for name in names)
    found = dict.fromkeys(name for name in tidied if name and "://" not in name)
    return list(found)[:MAX_AUTHORS] or None


def _date(values: Iterable[Any]) -> str | None:
    """Return the first that is a date, or a date with a time, as ISO 8601 has it."""
    matches = (_DATE.match(value.strip()) for value in values if isinstance(value, str))
    return next((match[0] for match in matches if match), None)
