"""Which links belong to a site, and which of them are one page."""

from typing import Any

import pytest

from crawl_api.job_types import SiteCrawl
from crawl_worker.findings import Visit, VisitKind
from crawl_worker.site_rules import MAX_QUERIES, SiteRules

START = "https://www.example.co.uk/"


def rules(start: str = START, **site: Any) -> SiteRules:
    made = SiteRules(SiteCrawl(start_urls=(start,), **site))
    made.belongs(start)
    return made


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("http://h/a?b=1&a=2", "http://h/a?b=1&a=2"),
        ("http://h/a?PHPSESSID=x&b=1", "http://h/a?b=1"),
        ("http://h/a?utm_source=x&UTM_Medium=y&gclid=z", "http://h/a"),
        ("http://h/a;jsessionid=1.x/b;v=2;JSESSIONID=3?c", "http://h/a/b;v=2?c"),
        ("http://h/a?page=2&ref=x", "http://h/a?page=2"),
        ("http://h/a?%75tm_id=1", "http://h/a"),
        ("http://h/a?consider=1&sides=2", "http://h/a?consider=1&sides=2"),
        ("http://h/a?&&x=%20+&&", "http://h/a?x=%20+"),
        ("http://h/a?", "http://h/a?"),
    ],
)
def test_sessions_and_campaigns_make_no_other_page(url: str, clean: str) -> None:
    made = rules(ignore_parameters=("Ref",))
    assert made.clean(url) == clean
    assert made.clean(clean) == clean


def test_the_order_of_parameters_makes_no_other_page() -> None:
    made = rules()
    assert made.identity("http://h/a?b=1&a=2") == made.identity("http://h/a?a=2&b=1")
    assert made.identity("http://h/a?a=1&b=2") != made.identity("http://h/a?a=2&b=1")
    assert made.identity("http://h/a") == "http://h/a"


@pytest.mark.parametrize(
    ("scope", "url", "inside"),
    [
        ("SameHost", "https://www.example.co.uk/x", True),
        ("SameHost", "http://www.example.co.uk:8080/x", True),
        ("SameHost", "https://docs.example.co.uk/x", False),
        ("SameDomain", "https://docs.example.co.uk/x", True),
        ("SameDomain", "https://other.co.uk/x", False),
        ("SameDomain", "https://notexample.co.uk/x", False),
        ("Any", "https://other.org/x", True),
    ],
)
def test_scope(scope: str, url: str, *, inside: bool) -> None:
    assert rules(scope=scope).admits(Visit(url, 1)) is inside


@pytest.mark.parametrize(
    ("start", "other"), [("http://10.0.0.1/", "http://10.0.0.2/"), ("http://a.github.io/", "http://b.github.io/")]
)
def test_neighbours_under_a_public_suffix_or_on_addresses_are_no_family(start: str, other: str) -> None:
    made = rules(start, scope="SameDomain")
    assert made.admits(Visit(start + "x", 1))
    assert not made.admits(Visit(other + "x", 1))


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("a/b/c", True),
        ("a/a/a", True),
        ("a/a/a/a", False),
        ("a/b/a/b/a/b/a/b", False),
        ("/".join(map(str, range(32))), True),
        ("/".join(map(str, range(33))), False),
        ("x" * (2048 - len(START)), True),
        ("x" * (2049 - len(START)), False),
    ],
)
def test_links_that_build_on_each_other_are_given_up(path: str, *, inside: bool) -> None:
    assert rules().admits(Visit(START + path, 1)) is inside


def test_a_path_that_never_runs_out_of_queries_is_given_up() -> None:
    made = rules()
    admitted = [made.admits(Visit(f"{START}calendar?month={n}", 1)) for n in range(MAX_QUERIES + 5)]
    assert admitted == [True] * MAX_QUERIES + [False] * 5
    assert made.admits(Visit(f"{START}other?month=1", 1))


def test_a_hostile_url_does_not_stall_a_pattern() -> None:
    """RE2 has no exponential case."""
    made = rules(deny=("(a+)+$",))
    assert made.admits(Visit(START + "a" * 1900 + "!", 1))


def test_starts_are_admitted_and_sitemaps_need_no_pattern() -> None:
    made = rules(allow=("/en/",), max_depth=0)
    assert made.admits(Visit("https://elsewhere.org/", 0))
    assert made.admits(Visit(f"{START}sitemap.xml", 0, 1, VisitKind.SITEMAP))
    assert not made.admits(Visit(f"{START}en/", 1))
