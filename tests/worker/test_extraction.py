"""Reading pages: what is asked for is found, whatever the markup and the encoding are like."""

import time
from typing import Any

import pytest

from crawl_api.options import ExtractOptions, Selector
from crawl_worker.errors import PageError
from crawl_worker.extract.bounds import MAX_TEXT
from crawl_worker.extract.pages import Kind, extract, kind_of
from crawl_worker.extract.selectors import MAX_FIELD, MAX_FIELD_LISTS, invalid_selectors
from crawl_worker.extract.structure import MAX_LINKS, MAX_META_TAGS
from crawl_worker.records import Extracted, Record, to_line

PAGE = """<!doctype html><html lang="de"><head><title> Über\n uns </title>
<meta name="Description" content="Wer wir sind"><meta property="og:title" content="OG"><meta name="x">
<link rel="canonical" href="/about"></head><body>
<nav><a href="/menu">Menü</a></nav>
<main><h1>Über uns</h1><p>Wir sind eine kleine Firma aus Köln, die seit vielen Jahren gute Dinge herstellt und verkauft.
Das ist der Text dieser Seite, und er ist lang genug.</p>
<a href="team#chef">Team</a> <a href="team">Team</a> <a href="mailto:a@b.c">Mail</a> <a href="javascript:x()">JS</a>
<a href="//other.example/x">Other</a> <a href="http://[bad">bad</a>
<ul><li class="p" data-id="1">eins</li><li class="p" data-id="2"> zwei </li><li class="p">drei</li></ul>
</main></body></html>"""
URL = "http://example.com/de/index.html"


def read(html: str | bytes, content_type: str = "text/html; charset=utf-8", **options: Any) -> Extracted:
    body = html.encode() if isinstance(html, str) else html
    kind = kind_of(content_type, body)
    assert kind is not None
    return extract(body, content_type, kind, URL, ExtractOptions.model_validate(options))


def fields(html: str, *selectors: dict[str, Any]) -> dict[str, Any]:
    found = read(html, selectors=[{"name": f"f{n}", **selector} for n, selector in enumerate(selectors)]).fields
    assert found is not None
    return found


@pytest.mark.parametrize("engine", ["Fast", "Accurate"])
def test_text_is_the_main_content(engine: str) -> None:
    """Both engines find the text and leave the navigation."""
    text = read(PAGE, engine=engine).text
    assert text is not None
    assert "kleine Firma aus Köln" in text
    assert "Menü" not in text


def test_a_page_that_looks_like_boilerplate_alone_keeps_its_text() -> None:
    """Where no main content is found, the whole text is better than none."""
    assert read('<html><body><div class="footer"><p>All there is.</p></div></body></html>').text == "All there is."


def test_title_links_and_metadata() -> None:
    """Title in one line; links absolute, without fragments, each once, web only; metadata by lower-case name."""
    found = read(PAGE, links=True)
    assert found.title == "Über uns"
    assert found.links == [
        "http://example.com/menu",
        "http://example.com/de/team",
        "http://other.example/x",
    ]
    assert found.metadata is not None
    assert found.metadata.description == "Wer wir sind"
    assert found.metadata.language == "de"
    assert found.metadata.canonical == "http://example.com/about"
    assert found.metadata.meta == {"description": "Wer wir sind", "og:title": "OG"}


def test_a_base_element_moves_relative_links() -> None:
    """Links are resolved against <base>, which is itself resolved against the page."""
    assert read("<base href='/x/'><a href=y>", links=True).links == ["http://example.com/x/y"]


def test_markdown() -> None:
    """Markdown has the page's structure and no front matter."""
    markdown = read(PAGE, markdown=True).markdown
    assert markdown is not None
    assert "# Über uns" in markdown
    assert "[Team]" in markdown
    assert not markdown.startswith("---")


def test_what_is_not_asked_for_is_absent() -> None:
    """Only the title always comes."""
    found = read(PAGE, text=False, metadata=False)
    assert found.model_dump(exclude_none=True) == {"title": "Über uns"}


def test_selectors() -> None:
    """CSS and XPath, text and attribute, one and many, functions and texts; no match is null, or an empty list."""
    assert fields(
        PAGE,
        {"css": "li.p"},
        {"css": "li.p", "many": True},
        {"css": "li.p", "attribute": "data-id", "many": True},
        {"css": "li.q"},
        {"css": "li.q", "many": True},
        {"xpath": "//li[2]"},
        {"xpath": "//li/text()", "many": True},
        {"xpath": "//li/@data-id", "many": True},
        {"xpath": "//li", "attribute": "data-id", "many": True},
        {"xpath": "count(//li)"},
        {"xpath": "//q"},
        {"xpath": "string(//h1)"},
        {"css": "li.p", "attribute": "none"},
    ) == {
        "f0": "eins",
        "f1": ["eins", "zwei", "drei"],
        "f2": ["1", "2"],
        "f3": None,
        "f4": [],
        "f5": "zwei",
        "f6": ["eins", "zwei", "drei"],
        "f7": ["1", "2"],
        "f8": ["1", "2"],
        "f9": "3.0",
        "f10": None,
        "f11": "Über uns",
        "f12": None,
    }


def test_required_selectors_are_named_when_they_do_not_match() -> None:
    """The error names every selector that found nothing."""
    with pytest.raises(PageError) as caught:
        fields(
            PAGE,
            {"css": "q", "required": True},
            {"css": "h1", "required": True},
            {"xpath": "//q", "required": True, "many": True},
        )
    assert caught.value.code == "SelectorRequired"
    assert "f0, f2" in caught.value.message


def test_bad_selectors_are_all_named() -> None:
    """What the libraries cannot parse is found without a page; what they can is not complained about."""
    bad = [
        {"name": "a", "css": "div["},
        {"name": "b", "css": "p::text"},
        {"name": "c", "xpath": "//a["},
        {"name": "d", "xpath": "nosuch()"},
        {"name": "e", "xpath": "//ns:a"},
    ]
    good = [
        {"name": "f", "css": "div:has(> p) a:not([href^='x'])"},
        {"name": "g", "xpath": "//a[contains(@class, 'x')]/@href"},
    ]
    problems = invalid_selectors([Selector.model_validate(selector) for selector in bad + good])
    assert [problem.partition(":")[0] for problem in problems] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html; charset=iso-8859-1", "<p>Köln</p>".encode("latin-1")),
        ("text/html", b"<meta charset=iso-8859-1><p>K\xf6ln</p>"),
        ("text/html", b"<meta http-equiv=content-type content='text/html; charset=windows-1252'><p>K\xf6ln</p>"),
        ("text/html", "\ufeff<p>Köln</p>".encode()),
        ("text/html; charset=iso-8859-1", "\ufeff<p>Köln</p>".encode()),
        ("text/html", "\ufeff<p>Köln</p>".encode("utf-16-le")),
        ("text/html", "<p>Köln</p>".encode()),
        ("text/html; charset=no-such-thing", "<p>Köln</p>".encode()),
    ],
)
def test_encodings(content_type: str, body: bytes) -> None:
    """A byte order mark counts most, then the header, then the page; without any of them, UTF-8."""
    options = ExtractOptions.model_validate({"selectors": [{"name": "p", "css": "p"}]})
    assert extract(body, content_type, Kind.HTML, URL, options).fields == {"p": "Köln"}


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<",
        "<p",
        "<p><b>x</p></b><table><tr><p>",
        "<title>x",
        "\0" * 1000,
        "<html><body>" + "<div>" * 2_000,
        "<a href='" + "x" * 100_000 + "'>",
        "<p>\ud800</p>".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
        "<p>&#xD800;&#0;&#x110000;&amp</p>",
        "👩‍👩‍👧 مرحبا 日本語 \u202e",
    ],
)
def test_broken_markup_is_read_as_far_as_it_goes(html: str) -> None:
    """No markup is an error, and what comes out can be written as JSON."""
    found = read(html, markdown=True, links=True, selectors=[{"name": "a", "xpath": "//p"}])
    assert to_line(Record(url=URL, **dict(found))).endswith(b"}")


def test_bytes_of_no_encoding_are_replaced() -> None:
    """Garbage becomes replacement characters."""
    assert read(b"<title>a\xff\xfeb</title>").title


def test_large_pages_are_cut_and_say_so() -> None:
    """Texts, links, fields and meta tags have limits; `truncated` names what was cut."""
    text = read("x" * (MAX_TEXT + 1), content_type="text/plain")
    assert text.text is not None
    assert (len(text.text), text.truncated) == (MAX_TEXT, ["text"])
    many = "".join(f"<a href=/{n}>l</a>" for n in range(MAX_LINKS + 1))
    many += "".join(f"<meta name=m{n} content=c>" for n in range(MAX_META_TAGS + 5))
    found = read(many, links=True, selectors=[{"name": "a", "css": "a", "many": True}])
    assert found.links is not None
    assert len(found.links) == MAX_LINKS
    assert found.metadata is not None
    assert len(found.metadata.meta) == MAX_META_TAGS
    assert found.truncated == ["fields", "links"]


def test_lists_of_values_have_a_limit_together_and_each_selector_has_its_first() -> None:
    """Elements that lie one in the other all hold the innermost text: a small page must not come to a large record."""
    page = "<div>" * 900 + "word " * 9_000
    many = [{"name": f"m{n}", "css": "div", "many": True} for n in range(5)]
    found = read(page, selectors=[*many, {"name": "last", "xpath": "//div", "required": True}])
    assert found.fields is not None
    assert len(found.fields["last"]) > 40_000
    counts = [len(found.fields[f"m{n}"]) for n in range(5)]
    assert counts[1:] == [1] * 4
    assert MAX_FIELD_LISTS <= counts[0] * len(found.fields["last"]) < MAX_FIELD_LISTS + MAX_FIELD
    assert found.truncated == ["fields"]


def test_values_of_json_are_taken_one_by_one() -> None:
    """A path that matches a million values costs as much as the thousand that are taken."""
    document = b"[" + b"[]," * 300_000 + b"[]]"
    begun = time.process_time()
    found = read(document, "application/json", text=False, selectors=[{"name": "v", "jsonpath": "$..*", "many": True}])
    assert found.fields == {"v": [[]] * 1000}
    assert found.truncated == ["fields"]
    assert time.process_time() - begun < 2


def test_plain_text_and_xml() -> None:
    """Plain text is its own text; XML gives its texts and answers XPath by its own names."""
    assert read("just\ntext", content_type="text/plain").text == "just\ntext"
    rss = "<?xml version='1.0'?><rss><channel><title>News</title><item><pubDate>now</pubDate></item></channel></rss>"
    found = read(rss, content_type="application/rss+xml", selectors=[{"name": "d", "xpath": "//pubDate"}])
    assert found.title == "News"
    assert found.fields == {"d": "now"}
    assert found.text is not None
    assert "now" in found.text


def test_xml_entities_reach_no_file() -> None:
    """An external entity is not resolved."""
    xml = '<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/hostname">]><r>&e;x</r>'
    found = read(xml, content_type="text/xml", selectors=[{"name": "r", "xpath": "//r"}])
    assert found.fields == {"r": "x"}


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("text/html", b"", Kind.HTML),
        ("TEXT/HTML ; charset=x", b"", Kind.HTML),
        ("application/xhtml+xml", b"", Kind.HTML),
        ("application/atom+xml", b"", Kind.XML),
        ("text/csv", b"", Kind.TEXT),
        ("application/pdf", b"<html>", None),
        ("application/json", b"{}", Kind.JSON),
        ("image/png", b"", None),
        ("", b"\xef\xbb\xbf <!-- x --><!DOCTYPE html><p>", Kind.HTML),
        ("", b"%PDF-1.7", None),
        ("", b"", None),
    ],
)
def test_what_is_read_as_what(content_type: str, body: bytes, kind: Kind | None) -> None:
    """The Content-Type decides; only where there is none, the first bytes do."""
    assert kind_of(content_type, body) is kind
