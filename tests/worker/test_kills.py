"""Workers killed at random moments: nothing is lost, nothing is doubled, and little is fetched twice."""

import asyncio
import io
import json
import math
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from executioner import Executioner, moments, visits_in
from fastwarc.warc import ArchiveIterator, WarcRecordType
from operator_stand_in import StandIn, serving
from trap_site import CALENDAR, TrapSite
from worker_process import Worker, assignment, eventually
from worker_site import RAW, Site

from crawl_worker.checkpoints import MAX_UNSAVED

CONCURRENCY = 10
KILLS = 25
"""Of each campaign; there are five."""


@pytest.fixture
async def traps() -> AsyncIterator[TrapSite]:
    site = TrapSite(articles=900)
    async with serving(site.application()) as port:
        site.url = f"http://127.0.0.1:{port}"
        yield site


def site_job(operator: StandIn, traps: TrapSite) -> dict[str, Any]:
    site = {"startUrls": [traps.start], "maxPages": 100_000, "maxDepth": CALENDAR + 1}
    return assignment(operator, traps.start, type="Site", single=None, site=site, timeoutSeconds=300)


def visits(url: str, seen: Counter[str]) -> Counter[str]:
    """Return how often each URL was asked for; what every start asks for anew is left out."""
    return Counter({url + path: count for path, count in seen.items() if path != "/robots.txt"})


def judge(killer: Executioner, pages: int, in_flight: int) -> None:
    """Hold what was fetched again against what may have been lost."""
    costs = f"saved {killer.saved}, in vain {killer.in_vain}"
    print(f"{killer.kills} kills, {killer.repeated} of {pages} fetched again, {costs}")  # noqa: T201 (a measurement)
    assert killer.kills == KILLS
    if not killer.lose_disk:
        assert killer.repeated <= KILLS * in_flight
        return
    assert killer.repeated <= sum(killer.in_vain)
    assert max(killer.in_vain) <= MAX_UNSAVED + in_flight
    assert sum(killer.saved) > pages // 10, "the journal is of no use"


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lose_disk", [False, True])
async def test_a_site_crawl_survives_kills(
    worker: Worker, traps: TrapSite, operator: StandIn, *, lose_disk: bool
) -> None:
    lives = moments(90 if not lose_disk else 250, seed=7)
    killer = Executioner(worker, operator, lambda: visits(traps.url, traps.seen), lives, lose_disk)
    traps.on_request = operator.on_request = killer.on_request
    pages = 0
    while killer.kills < KILLS:
        traps.seen.clear()
        ended = await killer.run(site_job(operator, traps) | {"uid": f"job-{pages}"}, KILLS)
        assert ended.code == 0, ended.log
        crawled = [record["url"] for record in operator.lines]
        assert set(crawled) == traps.oracle() | {f"{traps.url}/secret/plans"}
        assert len(crawled) == len(set(crawled))
        assert ended.outcome.total == ended.outcome.succeeded + 2 == len(crawled)
        pages += len(crawled)
    judge(killer, pages, CONCURRENCY)


async def batches(killer: Executioner, site: Site, job: dict[str, Any]) -> list[bytes]:
    """Run a batch again and again until its workers were killed often enough; return the results of each."""
    killer.operator.on_request = site.on_request = killer.on_request
    results: list[bytes] = []
    while killer.kills < KILLS:
        site.seen.clear()
        ended = await killer.run(job | {"uid": f"job-{len(results)}"}, KILLS)
        assert ended.code == 0, ended.log
        assert ended.outcome.succeeded == ended.outcome.total == len(job["batch"]["urls"])
        assert killer.operator.results is not None
        results.append(killer.operator.results)
    return results


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lose_disk", [False, True])
async def test_a_batch_survives_kills(worker: Worker, site: Site, operator: StandIn, *, lose_disk: bool) -> None:
    """A life is a few requests long: most end within the first pages, some while the results are handed over."""
    site.delay = 0.1
    urls = [f"{site.url}/page/{n}" for n in range(50)]
    lives = moments(6 if not lose_disk else 20, seed=11)
    killer = Executioner(worker, operator, lambda: visits(site.url, Counter(site.seen)), lives, lose_disk)
    results = await batches(killer, site, assignment(operator, *urls, fetch={"concurrency": 2}))
    for result in results:
        assert sorted(json.loads(line)["url"] for line in result.splitlines()) == sorted(urls)
    judge(killer, len(urls) * len(results), 2)


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_an_archive_survives_kills(worker: Worker, site: Site, operator: StandIn) -> None:
    """Answers so large that few of them fill a segment: none is lost between two, and none is there twice."""
    chance = random.Random(5)  # noqa: S311 (bytes that do not compress, no secrets)
    RAW.update((f"large-{n}", ("application/octet-stream", chance.randbytes(1 << 20))) for n in range(30))
    operator.delay = site.delay = 0.2
    urls = [f"{site.url}/raw/large-{n}" for n in range(30)]
    lives = moments(30, seed=13)
    killer = Executioner(worker, operator, lambda: visits(site.url, Counter(site.seen)), lives, lose_disk=True)
    job = assignment(operator, *urls, fetch={"concurrency": 4}, output={"format": "WARC"})
    results = await batches(killer, site, job)
    for result in results:
        archive = ArchiveIterator(io.BytesIO(result), record_types=WarcRecordType.response)
        found = [(record.headers["WARC-Target-URI"], record.reader.read()) for record in archive]
        assert sorted(url for url, _ in found) == sorted(urls)
        assert all(body == RAW[url.rpartition("/")[2]][1] for url, body in found)
    judge(killer, len(urls) * len(results), 4)


@pytest.mark.long
async def test_a_crawl_waits_while_the_operator_takes_no_journal(
    worker: Worker, traps: TrapSite, operator: StandIn
) -> None:
    """The bound on what a lost disk costs holds, and the crawl goes on whole."""
    operator.answer = lambda _operator, what: web.Response(status=503) if what == "journal" else None
    process = await worker.start(site_job(operator, traps))
    await eventually(lambda: traps.seen.total() >= MAX_UNSAVED)
    asked = 0
    async with asyncio.timeout(40):
        while traps.seen.total() != asked:
            asked = traps.seen.total()
            await asyncio.sleep(3)
    assert asked <= 1 + MAX_UNSAVED + CONCURRENCY, "robots.txt, and what may be lost"
    assert operator.segments == {}
    operator.answer = lambda _operator, _what: None
    ended = await worker.end(process)
    assert ended.code == 0, ended.log
    crawled = [record["url"] for record in operator.lines]
    assert set(crawled) == traps.oracle() | {f"{traps.url}/secret/plans"}
    assert len(crawled) == len(set(crawled))


async def test_a_worker_killed_once_goes_on_from_its_disk(worker: Worker, site: Site, operator: StandIn) -> None:
    """What was done before the kill is not fetched again."""
    site.delay, site.free = 0.1, 11
    urls = [f"{site.url}/page/{n}" for n in range(30)]
    job = assignment(operator, *urls, fetch={"concurrency": 2})
    process = await worker.start(job)
    await eventually(lambda: site.held == 2)
    process.kill()
    await process.communicate()
    site.free = math.inf
    ended = await worker.run(job)
    assert ended.code == 0, ended.log
    assert sorted(record["url"] for record in operator.lines) == sorted(urls)
    assert visits(site.url, Counter(site.seen)).total() <= len(urls) + 2


async def test_a_worker_whose_disk_is_gone_goes_on_from_its_last_checkpoint(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    site.delay, site.free = 0.1, 17
    operator.answer = lambda told, what: (
        web.Response(status=503) if what == "journal" and visits_in(told.segments.values()) else None
    )
    urls = [f"{site.url}/page/{n}" for n in range(30)]
    job = assignment(operator, *urls, fetch={"concurrency": 2})
    process = await worker.start(job, CRAWL_CHECKPOINT_SECONDS="0.3")
    await eventually(lambda: site.held == 2 and bool(visits_in(operator.segments.values())))
    process.kill()
    await process.communicate()
    saved = len(visits_in(operator.segments.values()))
    shutil.rmtree(worker.work)
    worker.work.mkdir()
    asked = len(site.seen)
    site.free = math.inf
    operator.answer = lambda _operator, _what: None
    ended = await worker.run(job | {"attempt": 2})
    assert ended.code == 0, ended.log
    assert sorted(record["url"] for record in operator.lines) == sorted(urls)
    assert saved > 0
    assert len(site.seen) - asked == 1 + len(urls) - saved, "robots.txt, and what no segment held"
