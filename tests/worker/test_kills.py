"""Workers killed at random requests: nothing is lost, nothing is doubled, and little is fetched twice."""

import asyncio
import random
import shutil
import signal
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
CHECKPOINT_SECONDS = 0.5
KILLS = 25
"""Of each campaign; there are four."""


@pytest.fixture
async def traps() -> AsyncIterator[TrapSite]:
    site = TrapSite(articles=900)
    async with serving(site.application()) as port:
        site.url = f"http://127.0.0.1:{port}"
        yield site


class Executioner:
    """Kills a worker at the request that it is told of: as the server receives it, before it is answered."""

    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process | None = None
        self.left = 0

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0 and self.process is not None:
            self.process.kill()


async def run_killed(
    worker: Worker, job: dict[str, Any], executioner: Executioner, moments: list[int], *, lose_disk: bool
) -> tuple[Ended, int]:
    """Run the job, kill its worker at these requests of each life, and start it again; return its end, and the kills.

    With its disk, a worker comes back as the same attempt; without, as the next one in a new pod.
    """
    killed = 0
    for moment in moments:
        executioner.left = moment
        executioner.process = await worker.start(job, CRAWL_CHECKPOINT_SECONDS=str(CHECKPOINT_SECONDS))
        ended = await worker.end(executioner.process)
        if ended.code != -signal.SIGKILL:
            return ended, killed
        killed += 1
        if lose_disk:
            shutil.rmtree(worker.work)
            worker.work.mkdir()
            job = job | {"attempt": job["attempt"] + 1}
    executioner.left = 0
    return await worker.run(job), killed


def moments(kills: int, longest: int, seed: int) -> list[int]:
    """Return for how many requests each life lasts, short ones among them."""
    chance = random.Random(seed)  # noqa: S311 (moments, no secrets)
    return [chance.randint(1, longest) for _ in range(kills)]


def site_job(operator: StandIn, traps: TrapSite) -> dict[str, Any]:
    site = {"startUrls": [traps.start], "maxPages": 100_000, "maxDepth": CALENDAR + 1}
    return assignment(operator, traps.start, type="Site", single=None, site=site)


def refetched(seen: Counter[str]) -> int:
    """How many requests were made beyond one for each URL; what every start asks for anew is left out."""
    return sum(count - 1 for path, count in seen.items() if path != "/robots.txt")


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lose_disk", [False, True])
async def test_a_site_crawl_survives_kills(
    worker: Worker, traps: TrapSite, operator: StandIn, *, lose_disk: bool
) -> None:
    executioner = Executioner()
    traps.on_request = operator.on_request = executioner
    lives = moments(KILLS, 90 if not lose_disk else 250, seed=7)
    ended, killed = await run_killed(worker, site_job(operator, traps), executioner, lives, lose_disk=lose_disk)
    assert ended.code == 0, ended.log
    crawled = [record["url"] for record in operator.lines]
    assert set(crawled) == traps.oracle() | {f"{traps.url}/secret/plans"}
    assert len(crawled) == len(set(crawled))
    assert ended.outcome.total == ended.outcome.succeeded + 2 == len(crawled)
    again = refetched(traps.seen)
    print(f"{killed} kills, {again} of {len(crawled)} pages fetched again")  # noqa: T201 (a measurement)
    assert killed >= KILLS * 4 // 5
    assert again <= killed * (CONCURRENCY + (MAX_UNSAVED if lose_disk else 0))


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lose_disk", [False, True])
async def test_a_batch_survives_kills(worker: Worker, site: Site, operator: StandIn, *, lose_disk: bool) -> None:
    """A life is a few requests long: most end within the first pages, some while the results are handed over."""
    executioner = Executioner()
    site.on_request = operator.on_request = executioner
    site.delay = 0.1
    urls = [f"{site.url}/page/{n}" for n in range(50)]
    job = assignment(operator, *urls, fetch={"concurrency": 2})
    lives = moments(KILLS, 6 if not lose_disk else 20, seed=11)
    ended, killed = await run_killed(worker, job, executioner, lives, lose_disk=lose_disk)
    assert ended.code == 0, ended.log
    assert sorted(record["url"] for record in operator.lines) == sorted(urls)
    again = refetched(Counter(site.seen))
    print(f"{killed} kills, {again} fetches again of 50 pages")  # noqa: T201 (a measurement)
    assert killed >= KILLS // 3
    assert again <= killed * (2 if not lose_disk else 20)


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
