"""An attempt from end to end: what the site served is what the operator gets."""

import asyncio
import json
import time
from typing import Any

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment, eventually, records
from worker_site import RAW, Site, bomb


async def test_a_single_page_is_crawled_stored_and_told(worker: Worker, site: Site, operator: StandIn) -> None:
    """The happy path: record, stored results, outcome with data, termination message without, exit code 0."""
    ended = await worker.run(assignment(operator, f"{site.url}/page/1"))
    assert ended.code == 0, ended.log
    (record,) = records(ended)
    assert record["title"] == "Page 1"
    assert "text of page 1" in record["text"]
    assert record["metadata"]["description"] == "The page number 1"
    assert operator.results is not None
    assert [json.loads(line) for line in operator.results.splitlines()] == [record]
    assert operator.outcome is not None
    assert operator.outcome.data == [record]
    assert operator.outcome.stored == ended.outcome.stored
    assert (ended.outcome.total, ended.outcome.succeeded, ended.outcome.items) == (1, 1, 1)
    assert "data" not in json.loads(ended.message)
    assert site.agents == {"crawl-tests/1"}


async def test_a_batch_records_every_url_and_one_bad_url_harms_no_other(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """Each kind of failure is one typed error of its own page, named as the job names it."""
    RAW["selectors"] = ("text/html", b"<p>no price</p>")
    bomb()  # while nobody waits for an answer
    expected: dict[str, tuple[str | None, bool]] = {
        f"{site.url}/page/1": (None, False),
        f"{site.url}/hops/9": (None, False),
        f"{site.url}/hops/10": ("TooManyRedirects", False),
        f"{site.url}/status/401": ("HTTP_401", False),
        f"{site.url}/status/404": ("HTTP_404", False),
        f"{site.url}/status/408": ("HTTP_408", True),
        f"{site.url}/status/425": ("HTTP_425", True),
        f"{site.url}/status/429?after=1": ("HTTP_429", True),
        f"{site.url}/status/500": ("HTTP_500", True),
        f"{site.url}/status/503": ("HTTP_503", True),
        f"{site.url}/redirect?to=ftp://example.com/": ("UnsupportedScheme", False),
        f"{site.url}/redirect?to=http://%5Bbad/": ("InvalidURL", False),
        f"{site.url}/redirect?to=http://10.0.0.1/": ("AddressRefused", False),
        f"{site.url}/redirect?to=http://169.254.169.254/latest/": ("AddressRefused", False),
        f"{site.url}/redirect?to=http://[::1]:1/": ("AddressRefused", False),
        f"{site.url}/redirect?to=https://[fd00:ec2::254]/": ("AddressRefused", False),
        "http://192.168.0.1/": ("AddressRefused", False),
        "https://0xa9fea9fe/": ("AddressRefused", False),
        "http://[64:ff9b::a9fe:a9fe]/": ("AddressRefused", False),
        "http://127.0.0.1:1/": ("ConnectionRefused", True),
        "http://no-such-name.invalid/": ("DNSFailure", True),
        "http://user:secret@example.com/": ("InvalidURL", False),
        f"{site.url}/huge": ("BodyTooLarge", False),
        f"{site.url}/bomb": ("BodyTooLarge", False),
        f"{site.url}/cut": ("ConnectionFailed", True),
        f"{site.url}/slow/60": ("Timeout", True),
        f"{site.url}/endless": ("Timeout", True),
        f"{site.url}/raw/selectors": ("SelectorRequired", False),
    }
    ended = await worker.run(
        assignment(
            operator,
            *expected,
            fetch={"timeoutSeconds": 8, "maxBodyBytes": 1_000_000},
            extract={"selectors": [{"name": "title", "css": "h1", "required": True}]},
        )
    )
    assert ended.code == 0, ended.log
    found: dict[str, Any] = {record["url"]: record.get("error") for record in records(ended)}
    assert {url: (error["code"], error["retryable"]) if error else (None, False) for url, error in found.items()} == (
        expected
    )
    assert all(error["url"] == url for url, error in found.items() if error)
    refused = found[f"{site.url}/redirect?to=http://10.0.0.1/"]
    assert refused["details"] == {"address": "10.0.0.1", "redirectedTo": "http://10.0.0.1/"}
    assert "10.0.0.1" in refused["message"]
    assert "address" in found["http://192.168.0.1/"]["details"]
    assert "redirectedTo" not in found["http://192.168.0.1/"]["details"]
    assert found[f"{site.url}/status/429?after=1"]["details"] == {"retryAfter": "1"}
    assert operator.outcome is not None
    assert (operator.outcome.total, operator.outcome.succeeded) == (len(expected), 2)
    assert operator.outcome.error_count == operator.outcome.failed == len(expected) - 2
    assert ended.log.count('"page failed"') == len(expected) - 2


async def test_a_page_named_twice_is_fetched_once_and_recorded_twice(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """Spellings of one page share the fetch; each input URL has its own record."""
    urls = [f"{site.url}/page/1", f"{site.url}/page/1", f"{site.url}/x/../page/1#part"]
    ended = await worker.run(assignment(operator, *urls))
    assert [record["url"] for record in records(ended)] == urls
    assert site.count("/page/1") == 1
    assert (ended.outcome.succeeded, ended.outcome.items) == (3, 3)


@pytest.mark.parametrize("limits", [(3, 10, 3), (50, 4, 4)])
async def test_no_more_requests_are_in_flight_than_both_limits_allow(
    worker: Worker, site: Site, operator: StandIn, limits: tuple[int, int, int]
) -> None:
    """The job may lower the administrator's limit, never raise it; the limit is used, robots.txt counts too."""
    wanted, allowed, most = limits
    site.delay, site.free = 0.1, 1
    urls = [f"{site.url}/page/{n}" for n in range(16)]
    process = await worker.start(assignment(operator, *urls, fetch={"concurrency": wanted}, maxConcurrency=allowed))
    await eventually(lambda: site.held == most)
    await asyncio.sleep(0.5)  # one too many would come now
    site.released.set()
    ended = await worker.end(process)
    assert ended.outcome.succeeded == 16
    assert site.most_in_flight == most


async def test_the_delay_is_kept_between_requests_and_costs_no_page_its_time(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """`delaySeconds` spaces the requests to a host, robots.txt included; waiting for a turn is no page's time.

    Each is sent so long after the one before, but may be late in arriving: only the lateness of the first counts here.
    """
    urls = [f"{site.url}/page/{n}" for n in range(5)]
    ended = await worker.run(assignment(operator, *urls, fetch={"delaySeconds": 2, "timeoutSeconds": 7}))
    assert ended.outcome.succeeded == 5
    after_first = [at - site.times[0] for at in site.times]
    assert len(after_first) == 6
    assert all(after > 2 * number - 1.5 for number, after in enumerate(after_first)), after_first


async def test_the_time_limit_keeps_what_is_done(worker: Worker, site: Site, operator: StandIn) -> None:
    """At the attempt's end unfinished URLs are errors, finished ones are stored, and the attempt failed."""
    urls = [f"{site.url}/page/1", f"{site.url}/slow/90", f"{site.url}/slow/91"]
    job = assignment(operator, *urls, timeoutSeconds=12, fetch={"timeoutSeconds": 100})
    started = time.monotonic()
    ended = await worker.run(job)
    assert time.monotonic() - started < 50
    assert ended.code == 1
    assert ended.outcome.failure is not None
    assert (ended.outcome.failure.code, ended.outcome.failure.cause) == ("Timeout", "Transient")
    assert (ended.outcome.succeeded, ended.outcome.failed) == (1, 2)
    assert {error.code for error in ended.outcome.errors} == {"Timeout"}
    assert operator.results is not None
    assert operator.results.count(b"\n") == 3


async def test_the_byte_limit_ends_a_job_and_names_what_it_did_not_fetch(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """The page that reaches the limit is the last; another try would not change it."""
    RAW["kilo"] = ("text/plain", b"x" * 1000)
    urls = [f"{site.url}/raw/kilo?{n}" for n in range(9)]
    ended = await worker.run(assignment(operator, *urls, fetch={"concurrency": 1, "maxTotalBytes": 3500}))
    assert ended.code == 0, ended.log
    assert (ended.outcome.succeeded, ended.outcome.failed, ended.outcome.retryable) == (4, 5, 0)
    assert {error.code for error in ended.outcome.errors} == {"ByteLimit"}
    assert len(site.seen) <= 1 + 5


@pytest.mark.parametrize(
    ("paths", "cause"), [(["/status/404", "/status/410"], "Permanent"), (["/status/404", "/status/503"], "Transient")]
)
async def test_an_attempt_without_a_good_page_failed(
    worker: Worker, site: Site, operator: StandIn, paths: list[str], cause: str
) -> None:
    """The cause is Transient if any page is worth another try; the message counts and names the first error."""
    ended = await worker.run(assignment(operator, *(site.url + path for path in paths)))
    assert ended.code == 1
    assert ended.outcome.failure is not None
    assert (ended.outcome.failure.code, ended.outcome.failure.cause) == ("AllPagesFailed", cause)
    assert "all 2 pages" in ended.outcome.failure.message
    assert ended.outcome.items == 2


async def test_bad_selectors_are_found_before_anything_is_fetched(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """All bad selectors are named, and the site never hears of it."""
    selectors = [{"name": "one", "css": "a["}, {"name": "two", "xpath": "//a["}, {"name": "good", "css": "a"}]
    ended = await worker.run(assignment(operator, f"{site.url}/page/1", extract={"selectors": selectors}))
    assert ended.code == 1
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("InvalidSelector", "Permanent")
    assert "one: " in failure.message
    assert "two: " in failure.message
    assert "good" not in failure.message
    assert site.seen == []
    assert operator.outcome == ended.outcome


async def test_a_body_that_is_no_text_is_recorded_without_text(worker: Worker, site: Site, operator: StandIn) -> None:
    """What is not text is a page that was crawled: its type and size are told, no text is made up."""
    RAW["image"] = ("image/png", b"\x89PNG")
    ended = await worker.run(assignment(operator, f"{site.url}/raw/image"))
    (record,) = records(ended)
    assert (record["contentType"], record["bytes"], record["status"]) == ("image/png", 4, 200)
    assert not {"text", "title", "error"} & record.keys()
    assert ended.code == 0


async def test_a_poisoned_page_costs_only_itself(worker: Worker, site: Site, operator: StandIn) -> None:
    """A page on which extraction does not end is given up; the pages around it are read."""
    RAW["poison"] = ("text/html", b"<div>" * 300)
    urls = [f"{site.url}/page/1", f"{site.url}/raw/poison", f"{site.url}/page/2", f"{site.url}/page/3"]
    count = "//div[count(.//div[count(.//div[count(.//div) > 0]) > 0]) > 0]"
    job = assignment(operator, *urls, extract={"selectors": [{"name": "n", "xpath": count, "many": True}]})
    ended = await worker.run(job, CRAWL_EXTRACT_TIMEOUT_SECONDS="6")
    codes = {record["url"]: record.get("error", {}).get("code") for record in records(ended)}
    assert codes.pop(f"{site.url}/raw/poison") == "ExtractionTimeout"
    assert set(codes.values()) == {None}


async def test_results_beyond_the_inline_limit_are_stored_only(worker: Worker, site: Site, operator: StandIn) -> None:
    """The outcome has no data where the results are larger than the limit."""
    ended = await worker.run(assignment(operator, f"{site.url}/page/1", inlineLimitBytes=10))
    assert ended.code == 0
    assert operator.outcome is not None
    assert operator.outcome.data is None
    assert operator.outcome.stored is not None


async def test_progress_is_reported_on_the_way_and_never_falls(worker: Worker, site: Site, operator: StandIn) -> None:
    """Reports come at most once a second, one at a time, when something changed; counts only grow."""
    operator.delay = 0.2
    site.delay = 0.25
    urls = [f"{site.url}/page/{n}" for n in range(12)] + [f"{site.url}/status/404"]
    ended = await worker.run(assignment(operator, *urls, fetch={"concurrency": 1}))
    assert ended.code == 0
    done = [(report.succeeded, report.failed) for report in operator.progress]
    assert done == sorted(set(done))
    assert len(done) >= 3
    assert operator.progress[0].total == len(urls)
    gaps = [after - before for before, after in zip(operator.progress_times, operator.progress_times[1:], strict=False)]
    assert min(gaps) > 0.9
    assert operator.most_in_progress == 1


async def test_nothing_of_the_environment_reroutes_the_crawl(worker: Worker, site: Site, operator: StandIn) -> None:
    """Proxy variables are ignored, for pages and for the operator: a proxy would bypass the guard."""
    proxy: dict[str, Any] = dict.fromkeys(("http_proxy", "HTTPS_PROXY", "all_proxy"), "http://127.0.0.1:1")
    ended = await worker.run(assignment(operator, f"{site.url}/page/1"), **proxy)
    assert ended.code == 0, ended.log
    assert operator.outcome is not None


async def test_without_an_exemption_the_guard_lets_nothing_through(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """The operator itself is reached, the site on the same address is not even asked for robots.txt."""
    ended = await worker.run(assignment(operator, f"{site.url}/page/1", allowedNetworks=[]))
    (error,) = ended.outcome.errors
    assert (error.code, error.retryable) == ("AddressRefused", False)
    assert error.details["address"] == "127.0.0.1"
    assert ended.outcome.failure is not None
    assert ended.outcome.failure.cause == "Permanent"
    assert site.seen == []
    assert operator.outcome is not None


async def test_two_attempts_at_once_do_not_meet(
    worker: Worker, site: Site, operator: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Workers share nothing but the machine."""
    other = Worker(tmp_path_factory.mktemp("other"))
    job = assignment(operator, f"{site.url}/page/1")
    first, second = await asyncio.gather(worker.run(job), other.run(job | {"attempt": 2}))
    assert (first.code, second.code) == (0, 0)
