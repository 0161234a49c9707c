"""Workers killed at random moments: nothing is lost, nothing is doubled, and little is fetched twice."""

import asyncio
import contextlib
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from operator_stand_in import StandIn, serving
from trap_site import CALENDAR, TrapSite
from worker_process import Ended, Worker, assignment
from worker_site import Site

from crawl_worker.checkpoints import MAX_UNSAVED

CONCURRENCY = 10


@pytest.fixture
async def traps() -> AsyncIterator[TrapSite]:
    site = TrapSite(articles=900)
    async with serving(site.application()) as port:
        site.url = f"http://127.0.0.1:{port}"
        yield site


async def run_killed(worker: Worker, job: dict[str, Any], kills: int, *, lose_disk: bool) -> tuple[Ended, int]:
    """Run the job, kill its worker at random moments, and start it again; return how it ended, and the real kills.

    With its disk, a worker comes back as the same attempt; without, as the next one in a new pod.
    """
    chance = random.Random(7)  # noqa: S311 (moments, no secrets)
    killed = 0
    while True:
        process = await worker.start(job)
        if killed < kills:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), chance.uniform(0.2, 3.0))
        if process.returncode is not None or killed == kills:
            return await worker.end(process), killed
        process.kill()
        await process.communicate()
        killed += 1
        if lose_disk:
            shutil.rmtree(worker.work)
            worker.work.mkdir()
            job = job | {"attempt": job["attempt"] + 1}


def site_job(operator: StandIn, traps: TrapSite) -> dict[str, Any]:
    site = {"startUrls": [traps.start], "maxPages": 100_000, "maxDepth": CALENDAR + 1}
    return assignment(operator, traps.start, type="Site", single=None, site=site)


def refetched(seen: Counter[str]) -> int:
    """How many requests were made beyond one for each URL; what every start asks for anew is left out."""
    return sum(count - 1 for path, count in seen.items() if path != "/robots.txt")


@pytest.mark.faults
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("lose_disk", "kills"), [(False, 25), (True, 15)])
async def test_a_site_crawl_survives_kills(
    worker: Worker, traps: TrapSite, operator: StandIn, *, lose_disk: bool, kills: int
) -> None:
    ended, killed = await run_killed(worker, site_job(operator, traps), kills, lose_disk=lose_disk)
    assert ended.code == 0, ended.log
    crawled = [record["url"] for record in operator.lines]
    assert set(crawled) == traps.oracle() | {f"{traps.url}/secret/plans"}
    assert len(crawled) == len(set(crawled))
    assert ended.outcome.total == ended.outcome.succeeded + 2 == len(crawled)
    again = refetched(traps.seen)
    print(f"{killed} kills, {again} of {len(crawled)} pages fetched again")  # noqa: T201 (a measurement)
    assert killed >= 3
    assert again <= killed * (CONCURRENCY + (MAX_UNSAVED if lose_disk else 0))


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize("lose_disk", [False, True])
async def test_a_batch_survives_kills(worker: Worker, site: Site, operator: StandIn, *, lose_disk: bool) -> None:
    site.delay = 0.2
    urls = [f"{site.url}/page/{n}" for n in range(50)]
    job = assignment(operator, *urls, fetch={"concurrency": 2})
    ended, killed = await run_killed(worker, job, 10, lose_disk=lose_disk)
    assert ended.code == 0, ended.log
    assert sorted(record["url"] for record in operator.lines) == sorted(urls)
    again = refetched(Counter(site.seen))
    print(f"{killed} kills, {again} of 50 pages fetched again")  # noqa: T201 (a measurement)
    assert killed >= 3
    assert lose_disk or again <= killed * 2


async def test_a_worker_killed_once_goes_on_from_its_disk(worker: Worker, site: Site, operator: StandIn) -> None:
    """What was done before the kill is not fetched again."""
    site.delay = 0.1
    urls = [f"{site.url}/page/{n}" for n in range(30)]
    job = assignment(operator, *urls, fetch={"concurrency": 2})
    process = await worker.start(job)
    while site.in_flight < 2 or len(site.seen) < 12:  # noqa: ASYNC110 (no event crosses processes)
        await asyncio.sleep(0.02)
    process.kill()
    await process.communicate()
    ended = await worker.run(job)
    assert ended.code == 0, ended.log
    assert sorted(record["url"] for record in operator.lines) == sorted(urls)
    assert refetched(Counter(site.seen)) <= 2


async def test_a_worker_whose_disk_is_gone_goes_on_from_its_last_checkpoint(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    site.delay = 0.1
    urls = [f"{site.url}/page/{n}" for n in range(30)]
    job = assignment(operator, *urls, fetch={"concurrency": 2})
    process = await worker.start(job, CRAWL_CHECKPOINT_SECONDS="0.3")
    while not operator.segments or len(site.seen) < 12:  # noqa: ASYNC110 (no event crosses processes)
        await asyncio.sleep(0.02)
    process.kill()
    await process.communicate()
    saved = sum(b'"results"' in line for segment in operator.segments.values() for line in segment.splitlines())
    shutil.rmtree(worker.work)
    worker.work.mkdir()
    asked = len(site.seen)
    ended = await worker.run(job | {"attempt": 2})
    assert ended.code == 0, ended.log
    assert sorted(record["url"] for record in operator.lines) == sorted(urls)
    assert saved > 0
    assert len(site.seen) - asked == 1 + len(urls) - saved, "robots.txt, and what no segment held"
