"""robots.txt: obeyed where the job says so, read once per site, and not guessed where it cannot be read."""

from datetime import UTC, datetime
from typing import Any

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment, records
from worker_site import Site

from crawl_worker.errors import PageError, http_error
from crawl_worker.fetch.fetcher import Page
from crawl_worker.fetch.robots import MAX_ROBOTS_BYTES, judge

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RULES = "User-agent: *\nDisallow: /page/2\nDisallow: /hops\n\nUser-agent: nicebot\nDisallow: /page/1\n"


async def codes(worker: Worker, job: dict[str, object]) -> list[str | None]:
    ended = await worker.run(job)
    found = {record["url"]: record.get("error", {}).get("code") for record in records(ended)}
    return [found[url] for url in job["batch"]["urls"]]  # type: ignore[index] # a batch by construction


async def test_rules_are_obeyed_and_read_once(worker: Worker, site: Site, operator: StandIn) -> None:
    """A disallowed page is an error that no retry helps, and is not fetched; a redirect does not help either."""
    site.robots = RULES
    urls = [f"{site.url}/{path}" for path in ("page/1", "page/2", "redirect?to=/page/2", "page/3")]
    ended = await worker.run(assignment(operator, *urls))
    errors: dict[str, Any] = {record["url"]: record.get("error") for record in records(ended)}
    assert errors[urls[0]] is None
    assert errors[urls[3]] is None
    for url in urls[1:3]:
        assert (errors[url]["code"], errors[url]["retryable"]) == ("RobotsDisallowed", False)
    assert site.count("/robots.txt") == 1
    assert site.count("/page/2") == 0


async def test_the_jobs_user_agent_is_sent_and_looked_up(worker: Worker, site: Site, operator: StandIn) -> None:
    """`fetch.userAgent` replaces the operator's, in the header and in the rules."""
    site.robots = RULES
    job = assignment(
        operator, f"{site.url}/page/1", f"{site.url}/page/2", fetch={"userAgent": "NiceBot/2.0 (+http://x)"}
    )
    assert await codes(worker, job) == ["RobotsDisallowed", None]
    assert site.agents == {"NiceBot/2.0 (+http://x)"}


async def test_a_job_may_disregard_the_rules(worker: Worker, site: Site, operator: StandIn) -> None:
    """Without obeyRobots the file is not even read."""
    site.robots = RULES
    job = assignment(operator, f"{site.url}/page/2", f"{site.url}/page/3", fetch={"obeyRobots": False})
    assert await codes(worker, job) == [None, None]
    assert site.count("/robots.txt") == 0


async def test_a_site_that_cannot_say_allows_nothing(worker: Worker, site: Site, operator: StandIn) -> None:
    """A server error on robots.txt is every page's error, and is not asked about again."""
    site.robots = 503
    job = assignment(operator, f"{site.url}/page/1", f"{site.url}/page/2")
    assert await codes(worker, job) == ["RobotsUnavailable", "RobotsUnavailable"]
    assert site.seen == ["/robots.txt"]


async def test_robots_txt_leads_to_no_internal_address(worker: Worker, site: Site, operator: StandIn) -> None:
    """The guard stands before robots.txt and its redirects as well."""
    site.robots = "http://169.254.169.254/robots.txt"
    ended = await worker.run(assignment(operator, f"{site.url}/page/1"))
    (error,) = ended.outcome.errors
    assert error.code == "AddressRefused"
    assert error.message.startswith("robots.txt: ")
    assert error.details["redirectedTo"] == "http://169.254.169.254/robots.txt"
    assert site.seen == ["/robots.txt"]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b"", None),
        (200, b"User-agent: *\nDisallow: /x", None),
        (200, b"User-agent: *\nDisallow: /p*e$", "RobotsDisallowed"),
        (200, b"User-agent: bot\nDisallow:\n\nUser-agent: *\nDisallow: /", None),
        (200, b"\xff\xfe\0<html>not robots at all", None),
        (200, b"#" * MAX_ROBOTS_BYTES + b"\nUser-agent: *\nDisallow: /", None),
        (301, b"", "RobotsUnavailable"),
        (401, b"", None),
        (404, b"User-agent: *\nDisallow: /", None),
        (410, b"", None),
        (429, b"", "RobotsUnavailable"),
        (500, b"", "RobotsUnavailable"),
        (None, b"", "Timeout"),
    ],
)
def test_what_an_answer_allows(status: int | None, body: bytes, code: str | None) -> None:
    """RFC 9309: no file allows all; who answers with a server error, or not at all, allows nothing."""
    error = None
    if status is None:
        error = PageError("Timeout", "too slow", retryable=True)
    elif status != 200:
        error = http_error(status, "", None)
    page = Page("http://h/robots.txt", NOW, 1, status=status, body=body, error=error)
    rules = judge(page, "bot/1.0")
    why = rules.forbid("http://h/page")
    assert (why and why.code) == code
    assert why is None or why.retryable is (code != "RobotsDisallowed" and status != 301)
