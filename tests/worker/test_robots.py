"""robots.txt: obeyed where the job says so, read once per site, and not guessed where it cannot be read."""

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment, records
from worker_site import Site

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
    errors = {record["url"]: record.get("error") for record in records(ended)}
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


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, None),
        (403, None),
        (410, None),
        (429, "RobotsUnavailable"),
        (500, "RobotsUnavailable"),
        (503, "RobotsUnavailable"),
    ],
)
async def test_a_site_that_cannot_say_allows_nothing(
    worker: Worker, site: Site, operator: StandIn, status: int, code: str | None
) -> None:
    """RFC 9309: no file allows all; a server error allows nothing, and may pass."""
    site.robots = status
    job = assignment(operator, f"{site.url}/page/1", f"{site.url}/page/2")
    assert await codes(worker, job) == [code, code]
