"""The benchmark of the worker works, at a size at which its numbers mean nothing."""

import pytest

import doctree
from crawl_benchmarks.worker import figures, measure, rows

pytestmark = [pytest.mark.benchmarks, pytest.mark.timeout(300)]


async def test_all_sides_crawl_real_pages() -> None:
    """Each asks for as many pages as it was told to, of which some are not there; every figure with a budget is."""
    doctree.require(doctree.LARGE)
    crawls = await measure(pages=25, repeats=1, idiomatic_pages=5)
    assert [crawl.side.key for crawl in crawls] == ["worker", "bare", "two_cores", "idiomatic"]
    assert all(20 <= crawl.pages <= 25 for crawl in crawls[:3])
    assert crawls[3].pages >= 5
    assert {"ratio", "idiomatic_ratio", "two_core_ratio"} <= figures(crawls).keys()
    assert all(value > 0 for value in figures(crawls).values())
    assert all(crawl.memory_mb > 20 for crawl in crawls)
    assert rows(crawls)[0][0] == "this worker"
