"""Reading one page: pure functions from bytes to `Extracted`, run in a process that may be killed at any time.

selectolax finds title, links, metadata and CSS selectors in one parse; resiliparse takes the main text, trafilatura
where accuracy matters more than speed. Every text is bounded here, where it is made.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import ada_url
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError
from w3lib.encoding import html_to_unicode

from crawl_api.options import ExtractOptions, Selector, TextEngine
from crawl_worker.errors import PageError
from crawl_worker.records import Extracted, Metadata

MAX_TEXT: Final = 5_000_000
"""Characters of `text` and of `markdown`."""
MAX_TITLE: Final = 1_000
MAX_LINKS: Final = 10_000
MAX_URL: Final = 2_048
MAX_META_TAGS: Final = 100
MAX_META_VALUE: Final = 1_000
MAX_FIELD: Final = 50_000
MAX_FIELD_VALUES: Final = 1_000

_SNIFFED_BYTES: Final = 1024
_LOOKS_LIKE_HTML: Final = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)


_PDF_MAGIC: Final = b"%PDF-"


class Kind(StrEnum):
    """What a body is read as."""

    HTML = "html"
    XML = "xml"
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
    _, html = html_to_unicode(content_type or None, body)
    cuts = _Cuts()
    if kind is Kind.TEXT:
        _require(options.selectors, {})
        return Extracted(text=cuts.text("text", html) if options.text else None, truncated=cuts.names)
    tree = LexborHTMLParser(html)
    base = _base_url(tree, url)
    fields = _fields(tree, html, kind, options.selectors, cuts)
    _require(options.selectors, fields)
    return Extracted(
        title=_title(tree),
        text=cuts.text("text", _text(tree, html, kind, options.engine)) if options.text else None,
        markdown=cuts.text("markdown", _markdown(html, base)) if options.markdown else None,
        links=cuts.listed("links", _links(tree, base), MAX_LINKS) if options.links else None,
        metadata=_metadata(tree, base) if options.metadata else None,
        fields=fields if options.selectors else None,
        truncated=cuts.names,
    )


def invalid_selectors(selectors: Sequence[Selector]) -> list[str]:
    """Return what is wrong with the selectors, one text for each bad one."""
    return [f"{selector.name}: {reason}" for selector in selectors if (reason := _invalid(selector))]


def _invalid(selector: Selector) -> str | None:
    try:
        if selector.css is not None:
            LexborHTMLParser("<p></p>").css(selector.css)
        else:
            _xpath("<p></p>", Kind.HTML)(selector)
    except SelectolaxError:
        return f"not a CSS selector that is understood: {selector.css}"
    except ValueError:
        return f"not an XPath 1.0 expression that is understood: {selector.xpath}"
    return None


class _Cuts:
    """Bounds texts and lists, and remembers which were cut."""

    def __init__(self) -> None:
        self._names: list[str] = []

    @property
    def names(self) -> list[str] | None:
        return self._names or None

    def text(self, name: str, text: str, limit: int = MAX_TEXT) -> str:
        if len(text) > limit:
            self._note(name)
            text = text[:limit]
        return clean(text)

    def listed(self, name: str, values: Iterator[str], limit: int) -> list[str]:
        kept: list[str] = []
        for value in values:
            if len(kept) == limit:
                self._note(name)
                break
            kept.append(value)
        return kept

    def _note(self, name: str) -> None:
        if name not in self._names:
            self._names.append(name)


def clean(text: str) -> str:
    """Return the text without what no JSON document can carry: lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


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

    return convert(html, ConversionOptions(extract_metadata=False, base_url=base)).content or ""


def _base_url(tree: LexborHTMLParser, url: str) -> str:
    node = tree.css_first("base[href]")
    return (_absolute(node.attributes.get("href"), url) if node is not None else None) or url


def _absolute(href: str | None, base: str) -> str | None:
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


def _links(tree: LexborHTMLParser, base: str) -> Iterator[str]:
    seen: set[str] = set()
    for node in tree.css("a[href], area[href]"):
        link = _absolute(node.attributes.get("href"), base)
        if link is not None and link not in seen:
            seen.add(link)
            yield link


def _metadata(tree: LexborHTMLParser, base: str) -> Metadata:
    meta: dict[str, str] = {}
    for node in tree.css("meta[content]"):
        attributes = node.attributes
        name = (attributes.get("name") or attributes.get("property") or "").strip().lower()
        if name and name not in meta and len(meta) < MAX_META_TAGS:
            meta[clean(name[:MAX_META_VALUE])] = clean((attributes.get("content") or "")[:MAX_META_VALUE])
    html = tree.css_first("html[lang]")
    canonical = tree.css_first("link[rel~=canonical][href]")
    return Metadata(
        description=meta.get("description") or meta.get("og:description"),
        language=clean((html.attributes.get("lang") or "")[:64]) or None if html is not None else None,
        canonical=_absolute(canonical.attributes.get("href"), base) if canonical is not None else None,
        meta=meta,
    )


def _fields(
    tree: LexborHTMLParser, html: str, kind: Kind, selectors: Sequence[Selector], cuts: _Cuts
) -> dict[str, str | list[str] | None]:
    xpath: Callable[[Selector], Iterator[str]] | None = None
    fields: dict[str, str | list[str] | None] = {}
    for selector in selectors:
        if selector.css is not None:
            found = _css(tree, selector)
        else:
            xpath = xpath or _xpath(html, kind)
            found = xpath(selector)
        bounded = (cuts.text("fields", value, MAX_FIELD) for value in found)
        if selector.many:
            fields[selector.name] = cuts.listed("fields", bounded, MAX_FIELD_VALUES)
        else:
            fields[selector.name] = next(bounded, None)
    return fields


def _css(tree: LexborHTMLParser, selector: Selector) -> Iterator[str]:
    for node in tree.css(selector.css or ""):
        value = _node_value(node, selector.attribute)
        if value is not None:
            yield value


def _node_value(node: LexborNode, attribute: str | None) -> str | None:
    if attribute is None:
        return node.text().strip()
    # An attribute without a value is there, and empty.
    return (node.attributes[attribute] or "") if attribute in node.attributes else None


def _xpath(html: str, kind: Kind) -> Callable[[Selector], Iterator[str]]:
    """Parse for XPath, once for all selectors of a page; evaluating raises ValueError for a bad expression."""
    from parsel import Selector as Document  # noqa: PLC0415 (a second parse, only where XPath is asked for)

    document = Document(text=html, type=kind.value)

    def evaluate(selector: Selector) -> Iterator[str]:
        matches = document.xpath(selector.xpath or "")
        return (value for match in matches if (value := _match_value(match, selector.attribute)) is not None)

    return evaluate


def _match_value(match: Any, attribute: str | None) -> str | None:
    if not hasattr(match.root, "attrib"):  # a text, an attribute, a number or a boolean
        return str(match.root).strip() if attribute is None else None
    if attribute is not None:
        value = match.attrib.get(attribute)
        return None if value is None else str(value)
    return str(match.xpath("string()").get("")).strip()


def _require(selectors: Sequence[Selector], fields: Mapping[str, object]) -> None:
    missing = [selector.name for selector in selectors if selector.required and not fields.get(selector.name)]
    if missing:
        raise PageError("SelectorRequired", f"no match for required selectors: {', '.join(missing)}")
