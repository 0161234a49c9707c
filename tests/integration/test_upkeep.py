"""Upkeep and the cache of pages, as kubectl shows them."""

import pytest

from demo.site import DemoSite
from operator_process import Jobs, condition, records

pytestmark = pytest.mark.cluster


def test_pages_are_kept_for_the_namespace_used_counted_and_cleaned_up(shared: Jobs) -> None:
    """The second crawl asks the site for nothing; after a clean-up the third asks again."""
    with DemoSite() as site:
        urls = [site.url("/guide/"), site.url("/catalogue/")]
        fetch = {"cacheMode": "ReadThrough"}
        asked = []
        for name in ("cold", "warm", "clean", "cold-again"):
            if name == "clean":
                maintenance = {"task": "cache_cleanup", "parameters": {"olderThanSeconds": 0}}
                shared.apply(name, maintenance=maintenance, priority="High")
            else:
                shared.apply(name, batch={"urls": urls}, fetch=fetch, priority="High")
            status = shared.finished(name)
            assert status["phase"] == "Completed", status
            asked.append(sum(count for path, count in site.requests.items() if path != "/robots.txt"))
            if name == "clean":
                assert status["parameters"] == {"olderThanSeconds": 0}
                assert status["result"]["data"][0]["data"]["removed"] == 2
            else:
                assert status["progress"].get("fromCache", 0) == (2 if name == "warm" else 0)
    assert asked == [2, 2, 2, 4]


def test_a_task_that_is_unknown_fails_the_job_and_says_which_are_known(shared: Jobs) -> None:
    shared.apply("unknown", maintenance={"task": "log_rotation"}, priority="High")
    status = shared.finished("unknown")
    assert status["phase"] == "Failed"
    for word in ("log_rotation", "cache_cleanup", "health_check", "result_cleanup"):
        assert word in condition(status, "Failed")["message"]


def test_health_is_checked_and_processors_are_listed(shared: Jobs, site: DemoSite) -> None:
    """Defaults of parameters are shown; schemas stand in the status."""
    shared.apply("health", maintenance={"task": "health_check", "parameters": {"urls": [site.url("/")]}})
    shared.apply("listed", maintenance={"task": "list_processors"}, priority="High")
    listed = {record["url"]: record["data"] for record in records(shared.finished("listed"))}
    assert listed["processor:scrapy"]["parameters"]["required"] == ["spider"]
    status = shared.finished("health")
    assert status["phase"] == "Completed", status
    assert {record["url"].split(":", 2)[2] for record in records(status)} == {
        "store",
        "disk",
        "extraction",
        site.url("/"),
    }


def test_results_of_jobs_that_are_there_are_no_leftovers(shared: Jobs, site: DemoSite) -> None:
    shared.apply("kept", single={"url": site.url("/")}, priority="High")
    kept = shared.finished("kept")
    cleaning = {"task": "result_cleanup", "parameters": {"olderThanSeconds": 0}}
    shared.apply("sweep", maintenance=cleaning, priority="High")
    assert shared.finished("sweep")["result"]["data"][0]["data"] == {"removed": 0, "bytes": 0}
    assert records(kept)
