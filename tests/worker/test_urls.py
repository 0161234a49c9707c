"""URLs have one spelling, and only web URLs are URLs."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawl_worker.errors import PageError
from crawl_worker.fetch.urls import host_of, normalise, origin_of


@pytest.mark.parametrize(
    ("spelling", "url"),
    [
        ("HTTP://Example.COM:80/a/../b#top", "http://example.com/b"),
        ("https://example.com", "https://example.com/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://017700000001/", "http://127.0.0.1/"),
        ("http://127.1/", "http://127.0.0.1/"),
        ("http://[::FFFF:10.0.0.1]/", "http://[::ffff:a00:1]/"),
        ("http://bücher.example/ä?ö", "http://xn--bcher-kva.example/%C3%A4?%C3%B6"),
        ("  http://example.com/a b ", "http://example.com/a%20b"),
        ("http://1\u30021\u30021\u30021/", "http://1.1.1.1/"),
    ],
)
def test_every_spelling_becomes_the_same_url(spelling: str, url: str) -> None:
    """Case, default ports, dot segments, fragments, odd numbers for IPv4 and Unicode names have one form."""
    assert normalise(spelling) == url


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "InvalidURL"),
        ("example.com", "InvalidURL"),
        ("http://", "InvalidURL"),
        ("http://256.256.256.256/", "InvalidURL"),
        ("http://user:secret@example.com/", "InvalidURL"),
        ("http://example.com@10.0.0.1/", "InvalidURL"),
        ("ftp://example.com/", "UnsupportedScheme"),
        ("file:///etc/passwd", "UnsupportedScheme"),
        ("javascript:alert(1)", "UnsupportedScheme"),
        ("gopher://example.com/", "UnsupportedScheme"),
    ],
)
def test_what_is_no_web_url_is_a_typed_error(text: str, code: str) -> None:
    """Such a URL is an error of its page, and another try would not help."""
    with pytest.raises(PageError) as caught:
        normalise(text)
    assert (caught.value.code, caught.value.retryable) == (code, False)


@settings(deadline=None)
@given(st.text(max_size=40))
@example("a//b/./../?x#y")
@example("[::1]:99")
def test_normalising_twice_changes_nothing(rest: str) -> None:
    """Property: the spelling is a fixed point, or the text is refused."""
    try:
        once = normalise(f"http://{rest}")
    except PageError:
        return
    assert normalise(once) == once
    assert "#" not in once


def test_redirect_targets_are_resolved_against_the_page() -> None:
    """Relative, scheme-relative and absolute targets follow the URL standard."""
    base = "https://example.com/a/b?c"
    assert normalise("d", base) == "https://example.com/a/d"
    assert normalise("//other.example/x", base) == "https://other.example/x"
    assert normalise("?q", base) == "https://example.com/a/b?q"


def test_host_and_origin() -> None:
    """An origin keeps a port that is not the scheme's own."""
    assert origin_of("http://example.com:8080/a") == "http://example.com:8080"
    assert origin_of("http://example.com/a") == "http://example.com"
    assert host_of("http://[::1]:8080/") == "[::1]"
