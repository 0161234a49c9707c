"""Reading one page: pure functions from bytes to `Extracted`, run in a process that may be killed at any time.

selectolax finds title, links, metadata and CSS selectors in one parse; resiliparse takes the main text, trafilatura
where accuracy matters more than speed. Every text is bounded where it is made.
"""

import json
import re
from enum import StrEnum
from functools import cache
from typing import Any, Final

from selectolax.lexbor import LexborHTMLParser
from w3lib.encoding import html_to_unicode

from crawl_api.options import ExtractOptions, TextEngine
from crawl_worker.extract import structure
from crawl_worker.extract.bounds import Cuts, clean, tidy
from crawl_worker.extract.selectors import Views, fields, require
from crawl_worker.records import Extracted, Metadata

MAX_TITLE: Final = 1_000

_SNIFFED_BYTES: Final = 1024
_LOOKS_LIKE_HTML: Final = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_PDF_MAGIC: Final = b"%PDF-"


class Kind(StrEnum):
    """What a body is read as."""

    HTML = "html"
    XML = "xml"
    JSON = "json"
    TEXT = "text"
    SITEMAP = "sitemap"
    PDF = "pdf"


def kind_of(content_type: str, body: bytes) -> Kind | None:
    """Return what a body is read as, by its Content-Type or, without one, its first bytes; None for what is no text."""
    mime = content_type.partition(";")[0].strip().lower()
    if not mime:
        return Kind.HTML if _LOOKS_LIKE_HTML.match(body[:_SNIFFED_BYTES]) else None
    if mime in {"text/html", "application/xhtml+xml"}:
        return Kind.HTML
    if mime.endswith(("/xml", "+xml")):
        return Kind.XML
    if mime.endswith(("/json", "+json")):
        return Kind.JSON
    return Kind.TEXT if mime.startswith("text/") else None


def is_pdf(body: bytes) -> bool:
    """Say whether a body is a PDF, whatever its Content-Type: servers are often wrong about files."""
    return _PDF_MAGIC in body[:_SNIFFED_BYTES]  # readers forgive rubbish before it


def extract(body: bytes, content_type: str, kind: Kind, url: str, options: ExtractOptions) -> Extracted:
    """Take from a page what the job asks for.

    Args:
        body: decompressed.
        content_type: the header, for its charset; a byte order mark and the page's own declaration count too.
        kind: what the body is.
        url: the page's, against which links are resolved.
        options: what to take.

    Raises:
        PageError: SelectorRequired.
    """
    if kind is Kind.JSON and "charset" not in content_type.lower():
        content_type = "application/json; charset=utf-8"  # as its standard says
    _, html = html_to_unicode(content_type or None, body)
    cuts = Cuts()
    if kind is Kind.TEXT:
        require(options.selectors, {}, "a plain text has no match for")
        return Extracted(text=cuts.text("text", html) if options.text else None, truncated=cuts.names)
    if kind is Kind.JSON:
        return _json(html, options, cuts)
    return _markup(html, kind, url, options, cuts)


def _markup(html: str, kind: Kind, url: str, options: ExtractOptions, cuts: Cuts) -> Extracted:
    tree = LexborHTMLParser(html)
    base = structure.base_url(tree, url)

    @cache
    def documents() -> list[Any]:
        return structure.json_ld(tree, cuts)

    views = Views(html, xml=kind is Kind.XML, tree=tree, documents=documents)
    # What is not asked for is not parsed, nor are documents that only metadata would tell.
    return Extracted(
        fields=fields(views, options.selectors, cuts) if options.selectors else None,
        title=_title(tree),
        text=cuts.text("text", _text(tree, html, kind, options.engine)) if options.text else None,
        markdown=cuts.text("markdown", _markdown(html, base)) if options.markdown else None,
        links=cuts.listed("links", structure.links(tree, base), structure.MAX_LINKS) if options.links else None,
        images=cuts.listed("images", structure.images(tree, base), structure.MAX_IMAGES) if options.images else None,
        tables=structure.tables(tree, cuts) if options.tables else None,
        metadata=_metadata(tree, html, base, documents(), options.engine) if options.metadata else None,
        json_ld=documents() if options.json_ld else None,
        truncated=cuts.names,
    )


def _json(text: str, options: ExtractOptions, cuts: Cuts) -> Extracted:
    document = None
    if options.selectors:
        try:
            document = tidy(json.loads(text))
        except (ValueError, RecursionError):
            require(options.selectors, {}, "the document is no JSON and has no match for")
    views = Views(text, xml=False, tree=None, documents=lambda: document)
    found = fields(views, options.selectors, cuts) if options.selectors else None
    return Extracted(text=cuts.text("text", text) if options.text else None, fields=found, truncated=cuts.names)


def _metadata(tree: LexborHTMLParser, html: str, base: str, documents: list[Any], engine: TextEngine) -> Metadata:
    found = structure.metadata(tree, base, documents)
    if found.published is None and engine is TextEngine.ACCURATE:
        from htmldate import find_date  # noqa: PLC0415 (slow to load, and slow: it also reads dates from texts)

        return found.model_copy(update={"published": find_date(html, original_date=True)})
    return found


def _title(tree: LexborHTMLParser) -> str | None:
    node = tree.css_first("head > title") or tree.css_first("title")
    title = " ".join(node.text().split()) if node is not None else ""
    return clean(title[:MAX_TITLE]) or None


def _text(tree: LexborHTMLParser, html: str, kind: Kind, engine: TextEngine) -> str:
    # The engines are imported where they are used: a short job must not wait for one that it does not need.
    if kind is Kind.XML:
        return tree.text(separator=" ", strip=True) if tree.root is not None else ""
    if engine is TextEngine.ACCURATE:
        import trafilatura  # noqa: PLC0415 (costs a third of a second)

        return trafilatura.extract(html) or ""
    from resiliparse.extract.html2text import extract_plain_text  # noqa: PLC0415 (as above)

    # On some pages it takes everything for boilerplate: their whole text is better than none.
    return str(extract_plain_text(html, main_content=True) or extract_plain_text(html))


def _markdown(html: str, base: str) -> str:
    from html_to_markdown import ConversionOptions, convert  # noqa: PLC0415 (needed by few jobs)

    # It refuses a page with many NULs as binary; a browser replaces each one.
    return convert(html.replace("\0", "\ufffd"), ConversionOptions(extract_metadata=False, base_url=base)).content or ""
