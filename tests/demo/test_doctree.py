"""The documentation tree is real, large, served whole, and measured by a yardstick that can fail."""

import random
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

import doctree
from doctree import DocTree, DocTreeServer, DocTreeUnavailableError, similarity

# Fetching the package for the first time can take long; every step of it is bounded.
pytestmark = pytest.mark.timeout(600)

PAGE = """<html><head><title>No</title><style>no</style></head><body><nav>no</nav>
<div class="section"><h1>On <b>met</b>res</h1><div><p>One&nbsp;metre</p></div>
<script>no</script>is a <i>length</i>.</div>
<footer>no</footer></body></html>"""


@pytest.fixture(scope="module")
def tree() -> DocTree:
    return doctree.require()


def test_tree_is_large_enough_and_kept(tree: DocTree) -> None:
    assert len(tree.pages) >= 500
    assert tree.root.is_relative_to(doctree.cache())
    assert doctree.require() == tree


def test_articles_are_found_in_nearly_every_page(tree: DocTree) -> None:
    lengths = [len(doctree.words(tree.html(page))) for page in tree.pages[::4]]
    assert sum(length > 20 for length in lengths) > 0.98 * len(lengths)


def test_server_serves_the_tree_and_nothing_beside_it(tree: DocTree) -> None:
    with DocTreeServer(tree.root) as server:
        for page in tree.pages[:20]:
            with urlopen(server.url(page), timeout=5) as response:  # noqa: S310 - our own http URL
                assert response.headers.get_content_type() == "text/html"
                assert response.read().decode() == tree.html(page)
        with urlopen(server.url(""), timeout=5) as response:  # noqa: S310 - same
            assert response.read().decode() == tree.html("index.html")
        for path in ("nowhere.html", "../index.html", "%2e%2e/%2e%2e/copyright", "ref"):
            with pytest.raises(HTTPError, match="404") as refused:
                urlopen(server.url(path), timeout=5)  # noqa: S310 - same
            refused.value.close()
        assert server.requests.total() == 25


def test_words_are_those_of_the_article() -> None:
    assert doctree.words(PAGE) == ["on", "metres", "one", "metre", "is", "a", "length"]


def test_the_articles_own_words_are_a_perfect_extraction(tree: DocTree) -> None:
    html = tree.html(tree.pages[0])
    assert similarity(" ".join(doctree.words(html)), html) == doctree.Similarity(1.0, 1.0)


def test_boilerplate_costs_precision_and_gaps_cost_recall(tree: DocTree) -> None:
    html = tree.html("intro/tutorial01.html")
    article = doctree.words(html)
    half = article[: len(article) // 2]
    assert similarity(" ".join(half), html) == doctree.Similarity(1.0, len(half) / len(article))
    padded = similarity(" ".join([*article, *["boilerplate"] * len(article)]), html)
    assert (padded.precision, padded.recall) == (0.5, 1.0)
    shuffled = random.Random(1).sample(article, len(article))  # noqa: S311 - no secret
    assert similarity(" ".join(shuffled), html).precision < 0.5
    assert similarity("", html) == doctree.Similarity(1.0, 0.0)


@pytest.fixture
def no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_without_apt_the_reason_is_said(no_tools: Path) -> None:
    with pytest.raises(DocTreeUnavailableError, match="apt-get and dpkg-deb not on PATH"):
        doctree.fetch(no_tools)


def test_a_package_that_cannot_be_had_leaves_nothing_behind(no_tools: Path) -> None:
    for program in ("apt-get", "dpkg-deb"):
        (no_tools / program).write_text("#!/bin/sh\necho E: no route to the archive >&2\nexit 100\n")
        (no_tools / program).chmod(0o755)
    with pytest.raises(DocTreeUnavailableError, match="apt-get: E: no route to the archive"):
        doctree.fetch(doctree.cache())
    assert list(doctree.cache().iterdir()) == []


def test_missing_tree_skips_but_fails_in_ci(no_tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no documentation tree: apt-get"):
        doctree.require()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI must have"):
        doctree.require()
