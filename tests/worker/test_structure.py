"""What a page holds beside its text: tables, images, JSON-LD, authors and dates, and values by JSONPath."""

import json
from typing import Any

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment, records
from worker_site import RAW, Site

from crawl_api.options import ExtractOptions
from crawl_worker.errors import PageError
from crawl_worker.extract.pages import Kind, extract
from crawl_worker.extract.selectors import invalid_selectors
from crawl_worker.records import Extracted

ARTICLE = """<!doctype html><title>t</title><meta name="author" content="Ada Byron"><meta name="author" content="Bo">
<meta property="article:modified_time" content="2026-03-02T10:00:00+01:00">
<script type="application/ld+json">{"@type": "NewsArticle", "datePublished": "2026-03-01", "offers": {"price": 7.5},
 "author": [{"@type": "Person", "name": "Ada  Byron"}, {"name": "Cy"}, "https://example.org/dee"]}</script>
<script type="application/ld+json">{broken</script>
<table><caption> Prices </caption><thead><tr><th>Name<th>Price</thead><tr><td>Tea<td>3 <b>EUR</b>
<tr><td>Set<td><table><tr><td>in</table></table>
<img src="a.png" alt="An A"><img src="a.png"><img data-src="/b.png"><img src="data:image/png;base64,x"><img>"""


def read(html: str | bytes, kind: Kind = Kind.HTML, content_type: str = "", **options: Any) -> Extracted:
    body = html.encode() if isinstance(html, str) else html
    wanted = ExtractOptions.model_validate({"text": False, "metadata": False, **options})
    return extract(body, content_type, kind, "http://h/x/", wanted)


def test_authors_and_dates_are_those_of_head_and_json_ld() -> None:
    """The head comes first, each name once; an address is no name."""
    told = read(ARTICLE, metadata=True).metadata
    assert told is not None
    assert told.authors == ["Ada Byron", "Bo", "Cy"]
    assert (told.published, told.modified) == ("2026-03-01", "2026-03-02T10:00:00+01:00")


@pytest.mark.parametrize(
    ("html", "published"),
    [
        ('<meta name="date" content="2026-01-02">', "2026-01-02"),
        ('<meta itemprop="datePublished" content="2026-01-02T03:04:05Z">', "2026-01-02T03:04:05Z"),
        ('<time datetime="2026-01-02" pubdate>yesterday</time>', "2026-01-02"),
        ('<meta name="date" content="yesterday"><time datetime="2026-01-02">x</time>', None),
        ('<script type="application/ld+json">{"datePublished": 20260102}</script>', None),
    ],
)
def test_a_date_is_one_or_none(html: str, published: str | None) -> None:
    told = read(html, metadata=True).metadata
    assert told is not None
    assert told.published == published


def test_where_accuracy_matters_dates_are_read_from_texts() -> None:
    html = "<html><body><article><p>Published on March 5, 2024</p><p>Some text.</p></article></body></html>"
    told = read(html, metadata=True, engine="Accurate").metadata
    assert told is not None
    assert told.published == "2024-03-05"


def test_tables_are_rows_of_cells_and_inner_ones_tables_of_their_own() -> None:
    tables = read(ARTICLE, tables=True).tables
    assert tables is not None
    assert [(table.caption, table.rows) for table in tables] == [
        ("Prices", [["Name", "Price"], ["Tea", "3 EUR"], ["Set", "in"]]),
        (None, [["in"]]),
    ]


def test_images_are_absolute_and_told_once() -> None:
    images = read(ARTICLE, images=True).images
    assert images is not None
    assert [(image.url, image.alt) for image in images] == [("http://h/x/a.png", "An A"), ("http://h/b.png", None)]


def test_json_ld_is_told_as_it_is_and_what_is_broken_is_passed_over() -> None:
    (document,) = read(ARTICLE, jsonLd=True).json_ld or []
    assert document["offers"] == {"price": 7.5}


@pytest.mark.parametrize(
    "document",
    ["[" * 100_000, '{"a": "\\ud800"}', '{"a":' * 40 + "1" + "}" * 40, "NaN", "1" * 10_000, '"' + "x" * 300_000],
)
def test_hostile_json_ld_harms_no_page(document: str) -> None:
    found = read(f'<title>t</title><script type="application/ld+json">{document}</script>', jsonLd=True, metadata=True)
    assert found.title == "t"
    Extracted.model_validate_json(found.model_dump_json(by_alias=True))


def test_large_tables_and_many_images_are_cut_and_say_so() -> None:
    html = "<table>" + "<tr><td>x" * 5000 + "</table>" + "".join(f"<img src={n}>" for n in range(3000))
    found = read(html, tables=True, images=True)
    assert found.truncated == ["images", "tables"]


SELECTORS: list[dict[str, Any]] = [
    {"name": "price", "jsonpath": "$..price"},
    {"name": "names", "jsonpath": "$..author[*].name", "many": True},
    {"name": "css", "css": "caption"},
]


def test_jsonpath_sees_the_json_ld_of_a_page() -> None:
    found = read(ARTICLE, selectors=SELECTORS).fields
    assert found == {"price": 7.5, "names": ["Ada  Byron", "Cy"], "css": "Prices"}


def test_jsonpath_sees_a_json_document_and_other_languages_see_nothing_there() -> None:
    body = json.dumps({"author": [{"name": "Ä"}], "price": 0, "more": {"a": [1]}}).encode()
    selectors = [*SELECTORS, {"name": "more", "jsonpath": "$.more", "required": True}]
    found = read(body, Kind.JSON, "application/json", text=True, selectors=selectors)
    assert found.fields == {"price": 0, "names": ["Ä"], "css": None, "more": {"a": [1]}}
    assert found.text == body.decode()


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"\xff"])
def test_a_required_value_of_broken_json_is_missed(body: bytes) -> None:
    with pytest.raises(PageError, match="required selectors: price"):
        read(body, Kind.JSON, "application/json", selectors=[{**SELECTORS[0], "required": True}])


def test_bad_jsonpaths_are_named() -> None:
    options = ExtractOptions.model_validate({"selectors": [{"name": "a", "jsonpath": "$["}, SELECTORS[0]]})
    (problem,) = invalid_selectors(options.selectors)
    assert problem.startswith("a: not a JSONPath expression")


async def test_what_a_page_was_read_as_is_told(worker: Worker, site: Site, operator: StandIn) -> None:
    """An image is no page: nothing is guessed, and what had to be found in it is missed."""
    RAW.update(
        html=("text/html", b"<p class=a>x</p>"),
        json=("application/ld+json", b'{"a": "y"}'),
        png=("image/png", b"\x89PNG"),
        bare=(None, b"\x7fELF"),
        text=("text/plain", b"words"),
    )
    urls = [f"{site.url}/raw/{name}" for name in ("html", "json", "png", "bare", "text")]
    found = records(await worker.run(assignment(operator, *urls)))
    assert {record["url"].rsplit("/", 1)[-1]: record["kind"] for record in found} == {
        "html": "html",
        "json": "json",
        "png": "other",
        "bare": "other",
        "text": "text",
    }
    selectors = [{"name": "a", "css": ".a", "required": True}]
    found = records(await worker.run(assignment(operator, *urls, uid="other", extract={"selectors": selectors})))
    codes = {record["url"].rsplit("/", 1)[-1]: record.get("error", {}).get("code") for record in found}
    assert codes == {"html": None} | dict.fromkeys(("json", "png", "bare", "text"), "SelectorRequired")
