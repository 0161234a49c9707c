"""A CrawlJob from apply to its end, on a real API server, with real workers and real pages."""

import hashlib
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest

from demo.pages import PAGES
from demo.render import PDF_PATH
from demo.site import DemoSite
from held_site import HeldSite
from operator_process import Jobs, OperatorProcess, condition, records, wait_until

pytestmark = pytest.mark.cluster

TWENTY = [page for page in PAGES.values() if page.path.startswith(("/guide", "/catalogue"))][:20]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


@pytest.mark.parametrize(("priority", "execution"), [("High", "Pod"), ("Normal", "Job")])
def test_a_batch_of_twenty_pages_completes_with_what_the_site_serves(
    shared: Jobs, priority: str, execution: str
) -> None:
    """Counts are right, progress rises step by step, and every page's text is the site's."""
    seen: list[int] = []
    with DemoSite(delay=0.7) as site:
        urls = [site.url(page.path) for page in TWENTY]
        name = f"batch-{priority.lower()}"
        shared.apply(name, batch={"urls": urls}, priority=priority, fetch={"concurrency": 2}, extract={"links": True})
        status = shared.running(name)
        while status["phase"] == "Processing":
            seen.append(status["progress"]["percent"])
            status = shared.status(name)
        assert site.peak_in_flight <= 2
    assert status["phase"] == "Completed"
    assert seen == sorted(seen), "progress never falls"
    assert len(set(seen)) >= 4, f"progress was seen rising: {seen}"
    assert max(seen) < 100, "100 only with the end"
    progress = status["progress"]
    assert (progress["percent"], progress["total"], progress["succeeded"], progress["failed"]) == (100, 20, 20, 0)
    assert status["attempts"][0]["execution"] == execution
    assert status["attempts"][0]["worker"] == status["workerId"]
    stored = {record["url"]: record for record in records(status)}
    assert set(stored) == set(urls)
    assert status["result"]["items"] == 20
    for page, url in zip(TWENTY, urls, strict=True):
        assert stored[url]["title"] == page.title
        for paragraph in page.paragraphs:
            assert squeezed(paragraph) in squeezed(stored[url]["text"])
    mine = ("-l", f"crawl-operator.io/job={name}", "-o", "json")
    children = json.loads(shared.kubectl("get", "pods,jobs", *mine).stdout)["items"]
    assert [child["kind"] for child in children] == (["Pod"] if execution == "Pod" else ["Pod", "Job"])


@pytest.mark.parametrize("priority", ["Critical", "Low"])
def test_a_single_page_completes_and_its_result_stands_in_the_status(
    shared: Jobs, site: DemoSite, priority: str
) -> None:
    """Small results need no download; times, result and conditions agree with each other."""
    page = TWENTY[0]
    name = f"single-{priority.lower()}"
    shared.apply(name, single={"url": site.url(page.path)}, priority=priority, metadata={"ticket": {"id": 17}})
    status = shared.finished(name)
    assert status["phase"] == "Completed"
    result = status["result"]
    assert result["success"] is True
    assert [record["title"] for record in result["data"]] == [page.title]
    assert result["data"] == records(status)
    started, completed = (datetime.fromisoformat(status[name]) for name in ("startedAt", "completedAt"))
    assert started <= completed
    assert status["processingTimeMs"] == int((completed - started).total_seconds() * 1000)
    assert result["processingTimeMs"] == status["processingTimeMs"]
    assert (result["workerId"], result["completedAt"]) == (status["workerId"], status["completedAt"])
    assert {each["type"]: each["status"] for each in status["conditions"]} == {
        "Complete": "True",
        "Reconciling": "False",
        "Scheduled": "True",
        "ResultAvailable": "True",
    }
    assert status["observedGeneration"] == 1
    assert shared.get(name)["spec"]["metadata"] == {"ticket": {"id": 17}}


def test_a_site_is_crawled_by_its_links(shared: Jobs, site: DemoSite) -> None:
    """Every chapter of the guide is found from its first page, and nothing beside it."""
    guide = {site.url(page.path) for page in PAGES.values() if page.path.startswith("/guide/")}
    shared.apply("guide", site={"startUrls": [site.url("/guide/")], "allow": ["/guide/"]}, priority="High")
    status = shared.finished("guide")
    assert status["phase"] == "Completed", status.get("errors")
    assert {record["url"] for record in records(status)} == guide
    progress = status["progress"]
    assert (progress["percent"], progress["total"], progress["succeeded"]) == (100, len(guide), len(guide))


def test_a_suspended_site_goes_on_where_it_was(shared: Jobs) -> None:
    """Its frontier outlives its worker: what was fetched is not fetched again, and nothing is missing."""
    with HeldSite(10, delay=0.5) as site:
        wanted = {site.url(page.path) for page in PAGES.values() if page.path.startswith(("/guide/", "/catalogue/"))}
        starts = [site.url("/guide/"), site.url("/catalogue/")]
        fetch = {"concurrency": 2, "timeoutSeconds": 90}
        crawl = {"startUrls": starts, "allow": ["/guide/", "/catalogue/"], "sitemaps": "None"}
        shared.apply("paused", site=crawl, fetch=fetch, priority="High")
        wait_until(lambda: shared.status("paused")["progress"].get("succeeded", 0) >= 5, "some pages are done", 40)
        shared.patch("paused", suspend=True)
        done = shared.reached("paused", "Suspended", 40)["progress"]["succeeded"]
        site.open()
        shared.patch("paused", suspend=False)
        status = shared.finished("paused", 90)
        again = sum(count - 1 for path, count in site.requests.items() if path != "/robots.txt")
    assert status["phase"] == "Completed", status.get("errors")
    assert {record["url"] for record in records(status)} == wanted
    assert status["progress"]["succeeded"] == len(wanted) > done >= 5
    assert again <= fetch["concurrency"]


def test_a_pdf_is_read(shared: Jobs, site: DemoSite) -> None:
    shared.apply("units", pdf={"urls": [site.base_url + PDF_PATH]}, priority="High")
    status = shared.finished("units")
    assert status["phase"] == "Completed", status.get("errors")
    assert status["result"]["data"][0]["pdf"]["pages"] >= 1


def test_a_processor_that_the_image_does_not_have_fails_the_job_and_says_which_it_has(shared: Jobs) -> None:
    shared.apply("custom", custom={"processor": "nonsense"}, priority="High")
    status = shared.finished("custom")
    assert status["phase"] == "Failed"
    assert condition(status, "Failed")["reason"] == "InvalidParameters"
    for word in ("nonsense", "scrapy"):
        assert word in condition(status, "Failed")["message"]


def test_dead_urls_make_a_partial_success_that_names_them(shared: Jobs, site: DemoSite) -> None:
    """One bad page never harms another; both bad ones are named with code and context."""
    dead = [site.base_url + "/nowhere", site.base_url + "/gone"]
    alive = [site.url(page.path) for page in TWENTY[:3]]
    shared.apply("partial", batch={"urls": [dead[0], *alive, dead[1]]}, priority="High")
    status = shared.finished("partial")
    assert status["phase"] == "PartialSuccess"
    assert {error["url"]: error["code"] for error in status["errors"]} == {dead[0]: "HTTP_404", dead[1]: "HTTP_410"}
    assert all(error["retryable"] is False and error["attempt"] == 1 for error in status["errors"])
    assert status["errorCount"] == 2
    assert status["lastError"] == status["errors"][-1]["message"]
    assert (status["progress"]["succeeded"], status["progress"]["failed"]) == (3, 2)
    assert status["result"]["success"] is True
    assert condition(status, "Complete")["reason"] == "PartialSuccess"
    assert {record["url"] for record in records(status)} == {*dead, *alive}


def test_all_dead_urls_fail_the_job(shared: Jobs, site: DemoSite) -> None:
    """A batch without a single page has failed, and says so to every kind of reader."""
    shared.apply("dead", batch={"urls": [site.base_url + "/nowhere", site.base_url + "/gone"]}, priority="High")
    status = shared.finished("dead")
    assert status["phase"] == "Failed"
    assert {error.get("url") for error in status["errors"]} >= {site.base_url + "/nowhere", site.base_url + "/gone"}
    assert status["progress"]["percent"] < 100
    assert status["result"]["success"] is False
    assert status["attempts"][0]["cause"] == "Permanent"
    for kind in ("Failed", "Stalled"):
        assert condition(status, kind)["status"] == "True"
    assert condition(status, "Complete") == {}


def test_pages_that_lead_inside_are_refused_and_named(shared: Jobs, site: DemoSite) -> None:
    """A redirect to the metadata service or to a private network is an error of that page, with the address."""
    escapes = {site.base_url + "/escape/metadata": "169.254.169.254", site.base_url + "/escape/private": "10.0.0.1"}
    shared.apply("escape", batch={"urls": [*escapes, site.url(TWENTY[0].path)]}, priority="High")
    status = shared.finished("escape")
    assert status["phase"] == "PartialSuccess"
    refused = {error["url"]: error for error in status["errors"]}
    assert set(refused) == set(escapes)
    for url, address in escapes.items():
        assert refused[url]["code"] == "AddressRefused"
        assert address in refused[url]["message"]
        assert refused[url]["details"]["address"] == address


def test_loopback_is_refused_unless_the_administrator_allows_it(
    cluster: Any, jobs: Jobs, site: DemoSite, tmp_path: Path
) -> None:
    """The guard is on from the start; the tests' and the demo's operator open it on purpose."""
    with OperatorProcess(cluster, tmp_path, namespaces=[jobs.namespace], worker={"allowedNetworks": []}):
        jobs.apply("inside", single={"url": site.url(TWENTY[0].path)}, priority="High")
        status = jobs.finished("inside")
    assert status["phase"] == "Failed"
    assert status["errors"][0]["code"] == "AddressRefused"
    assert not site.requests


def test_robots_redirects_selectors_and_a_pdf_link_are_handled(shared: Jobs, site: DemoSite) -> None:
    """What a real site is made of: forbidden parts, moved pages, prices, other kinds of files."""
    priced = next(page for page in PAGES.values() if page.price)
    urls = [site.base_url + "/moved", site.base_url + "/private/notes", site.url(priced.path)]
    selectors = [{"name": "price", "css": ".price", "required": False}, {"name": "heading", "xpath": "//h1"}]
    shared.apply("mixed", batch={"urls": urls}, priority="High", extract={"selectors": selectors, "markdown": True})
    status = shared.finished("mixed")
    stored = {record["url"]: record for record in records(status)}
    assert stored[urls[0]]["finalUrl"] == site.base_url + "/guide/length"
    assert stored[urls[1]]["error"]["code"] == "RobotsDisallowed"
    assert site.requests["/private/notes"] == 0
    assert priced.price in stored[urls[2]]["fields"]["price"]
    assert stored[urls[2]]["fields"]["heading"] == priced.heading
    assert priced.heading in stored[urls[2]]["markdown"]


def test_never_more_requests_in_flight_than_the_operator_allows(cluster: Any, jobs: Jobs, tmp_path: Path) -> None:
    """A job may lower the limit, not raise it; and its result goes to the store that all jobs share."""
    results = {"folder": str(tmp_path / "results"), "storeUrl": (tmp_path / "shared").as_uri()}
    with (
        HeldSite(10, delay=0.2) as site,
        OperatorProcess(cluster, tmp_path, namespaces=[jobs.namespace], results=results),
    ):
        urls = [site.url(page.path) + f"?n={n}" for n in range(3) for page in TWENTY][:50]
        jobs.apply("fifty", batch={"urls": urls}, priority="High", fetch={"concurrency": 100, "timeoutSeconds": 90})
        wait_until(lambda: site.in_flight > 5, "many pages are fetched at once", 60)
        site.open()
        status = jobs.finished("fifty")
        assert status["phase"] == "Completed"
        assert site.peak_in_flight <= 10
        assert status["resultURL"].startswith(f"{results['storeUrl']}/{jobs.namespace}/fifty/")
        assert len(records(status)) == 50


def test_a_batch_above_the_configured_limit_is_refused_by_the_operator(shared: Jobs, site: DemoSite) -> None:
    """51 URLs pass the schema; the operator refuses them at once, for good, and says which limit it is."""
    shared.apply("large", batch={"urls": [f"{site.base_url}/{n}" for n in range(51)]})
    status = shared.finished("large", 10)
    assert status["phase"] == "Failed"
    stalled = condition(status, "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    for part in ("spec.batch.urls", "51", "50", "limits.urlsPerJob"):
        assert part in stalled["message"]
    assert not [pod for pod in shared.pods() if pod["metadata"]["labels"]["crawl-operator.io/job"] == "large"]
    assert not site.requests


def test_the_time_limit_ends_a_slow_crawl_and_keeps_what_is_done(shared: Jobs) -> None:
    """A job beyond its time has failed by Timeout; pages fetched by then are in the result."""
    with DemoSite(delays={"/slow": 60}) as site:
        urls = [site.url(TWENTY[0].path), site.base_url + "/slow"]
        shared.apply("late", batch={"urls": urls}, priority="High", timeoutSeconds=10, retry={"maxAttempts": 1})
        status = shared.finished("late")
    assert status["phase"] == "DeadLetter"
    assert condition(status, "Failed")["reason"] == "Timeout"
    assert status["attempts"][0]["cause"] == "Transient"
    assert TWENTY[0].title in {record.get("title") for record in records(status)}


def test_size_and_checksum_are_those_of_the_stored_result(shared: Jobs, site: DemoSite) -> None:
    """Size and SHA-256 in the status are those of the stored file."""
    shared.apply("sum", batch={"urls": [site.url(page.path) for page in TWENTY]}, priority="High")
    status = shared.finished("sum")
    content = Path(unquote(urlparse(status["resultURL"]).path)).read_bytes()
    assert status["result"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert status["result"]["bytes"] == len(content)
    assert len(status["resultURL"]) <= 500
