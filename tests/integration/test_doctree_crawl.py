"""Pages that nobody here wrote: a documentation package from Debian, crawled and compared."""

import json
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

import doctree
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PAGES = 240
PER_JOB = 48


@pytest.mark.timeout(300)
def test_two_hundred_and_forty_pages_are_read_as_an_independent_extraction_reads_them(
    cluster: LocalCluster, jobs: Jobs, tmp_path: Path
) -> None:
    """All pages are crawled, and the text is the article's: little is missing and next to nothing is made up."""
    tree = doctree.require()
    step = len(tree.pages) // PAGES
    pages = tree.pages[::step][:PAGES]
    assert len(pages) == PAGES
    with doctree.DocTreeServer(tree.root) as server, OperatorProcess(cluster, tmp_path, namespaces=[jobs.namespace]):
        batches = [pages[start : start + PER_JOB] for start in range(0, PAGES, PER_JOB)]
        for number, batch in enumerate(batches):
            urls = [server.url(page) for page in batch]
            jobs.apply(f"docs-{number}", batch={"urls": urls}, priority="High")
        texts: dict[str, str] = {}
        for number in range(len(batches)):
            status = jobs.finished(f"docs-{number}", 120)
            assert status["phase"] == "Completed", status.get("errors")
            stored = Path(unquote(urlparse(status["resultURL"]).path)).read_text().splitlines()
            texts |= {record["url"]: record["text"] for record in map(json.loads, stored)}
        scores = [doctree.similarity(texts[server.url(page)], tree.html(page)) for page in pages]
    precision = sum(score.precision for score in scores) / PAGES
    recall = sum(score.recall for score in scores) / PAGES
    assert precision >= 0.95, f"{precision=:.3f}"
    assert recall >= 0.8, f"{recall=:.3f}"
