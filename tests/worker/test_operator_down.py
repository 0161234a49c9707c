"""The operator's bad days: the worker waits for it as long as it makes sense, and says so when it gives up."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web
from operator_stand_in import StandIn, stand_in
from worker_process import Worker, assignment, eventually, records
from worker_site import RAW, Site

from crawl_api.worker_protocol import Assignment
from crawl_worker.checkpoints import MAX_UNSAVED, Checkpoints
from crawl_worker.findings import Finding, Visit
from crawl_worker.ledger import Ledger
from crawl_worker.operator_client import OperatorClient


async def test_an_operator_that_comes_back_gets_everything(worker: Worker, site: Site, unreachable: StandIn) -> None:
    """Down when the crawl ends, up a little later: results and outcome arrive, the attempt is a success."""
    process = await worker.start(assignment(unreachable, f"{site.url}/page/1"))
    await eventually(lambda: "/page/1" in site.seen)
    await asyncio.sleep(1.5)
    port = int(unreachable.url.rsplit(":", 1)[-1])
    async with stand_in(unreachable, port):
        ended = await worker.end(process)
    assert ended.code == 0, ended.log
    assert unreachable.lines == records(ended)
    assert unreachable.outcome is not None
    assert unreachable.outcome.data
    assert ended.log.count("progress cannot be reported") == 1


async def test_passing_failures_are_tried_again(worker: Worker, site: Site, operator: StandIn) -> None:
    """5xx, 429 and refused tokens pass; a damaged result is sent again; the token file is read for every try."""
    answers = iter([503, 429, 401])

    def answer(_operator: StandIn, what: str) -> web.Response | None:
        status = next(answers, None) if what == "results" else None
        if status == 401:
            worker.token.write_text("second-token\n")
        return web.Response(status=status, text="not now") if status else None

    operator.answer = answer
    operator.damage = 1
    ended = await worker.run(assignment(operator, f"{site.url}/page/1"))
    assert ended.code == 0, ended.log
    assert operator.tries.count("results") == 5
    assert operator.tokens[0] == "Bearer first-token"
    assert operator.tokens[-1] == "Bearer second-token"
    assert operator.lines == records(ended)


async def test_a_refused_result_is_final(worker: Worker, site: Site, operator: StandIn) -> None:
    """413 is answered the same tomorrow: one try, also for a body that the operator does not read to its end."""
    RAW["large"] = ("text/plain", b"x" * 4_000_000)

    def answer(_operator: StandIn, what: str) -> web.Response | None:
        return web.Response(status=413, text="too large") if what == "results" else None

    operator.answer = answer
    started = time.monotonic()
    ended = await worker.run(assignment(operator, f"{site.url}/raw/large"))
    assert time.monotonic() - started < 45
    assert ended.code == 1
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("ResultRejected", "Permanent")
    assert "413" in failure.message
    assert operator.tries.count("results") == 1
    assert operator.outcome is not None
    assert operator.outcome.failure == failure
    assert operator.outcome.stored is None


@pytest.mark.long
async def test_giving_up_is_the_infrastructures_fault(worker: Worker, site: Site, operator: StandIn) -> None:
    """An operator that only fails costs the hand-over's time, and no more; the termination message tells."""
    operator.answer = lambda _operator, _what: web.Response(status=500)
    ended = await worker.run(
        assignment(operator, f"{site.url}/page/1", timeoutSeconds=12), CRAWL_MIN_HANDOVER_SECONDS="2"
    )
    assert ended.code == 1
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("ResultStoreUnavailable", "Infrastructure")
    assert "the last try: " in failure.message
    assert "it was not tried" not in failure.message
    assert ended.outcome.succeeded == 1
    assert ended.outcome.items == 0


async def test_an_outcome_that_cannot_be_stored_is_in_the_termination_message(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """Results stored, outcome refused: the attempt is good, and the message says where the results are."""

    def answer(_operator: StandIn, what: str) -> web.Response | None:
        return web.Response(status=400) if what == "outcome" else None

    operator.answer = answer
    ended = await worker.run(assignment(operator, f"{site.url}/page/1"))
    assert ended.code == 0
    assert ended.outcome.stored is not None
    assert "the outcome could not be stored" in ended.log


async def test_a_slow_operator_slows_no_crawl(worker: Worker, site: Site, operator: StandIn) -> None:
    """Progress that hangs never holds up a page: while one report does, many are fetched one after the other."""
    operator.progress_delay = 4
    meanwhile: Counter[int] = Counter()

    def note() -> None:
        if operator.tries.count("progress") > len(operator.progress):
            meanwhile[len(operator.progress)] += 1

    site.on_request = note
    urls = [f"{site.url}/page/{n}" for n in range(20)]
    ended = await worker.run(assignment(operator, *urls, fetch={"concurrency": 1}))
    assert ended.code == 0, ended.log
    assert max(meanwhile.values()) >= 8, meanwhile


async def test_answers_of_any_size_are_saved_on_the_way(worker: Worker, site: Site, operator: StandIn) -> None:
    """A segment of megabytes arrives as a small one does, and those after it."""
    RAW.update((f"megabytes-{n}", ("application/octet-stream", bytes([n]) * (3 << 20))) for n in range(4))
    chance = random.Random(3)  # noqa: S311 (bytes that do not compress, no secrets)
    RAW["megabytes-0"] = ("application/octet-stream", chance.randbytes(3 << 20))
    site.delay, site.free = 0.4, 4
    urls = [f"{site.url}/raw/megabytes-{n}" for n in range(4)]
    job = assignment(operator, *urls, fetch={"concurrency": 1}, output={"format": "WARC"})
    process = await worker.start(job, CRAWL_CHECKPOINT_SECONDS="0.1")
    saved = [f'"results": ["{url}"'.encode() for url in urls[:3]]
    await eventually(lambda: all(any(each in segment for segment in operator.segments.values()) for each in saved))
    site.released.set()
    ended = await worker.end(process)
    assert ended.code == 0, ended.log
    assert sum(len(segment) > 4_000_000 for segment in operator.segments.values()) >= 2


async def test_a_crawl_goes_on_without_checkpoints_where_none_can_be_made(tmp_path: Path, operator: StandIn) -> None:
    """Whatever the reason is: here the ledger cannot be read."""
    job = Assignment.model_validate(assignment(operator, "http://h/"))
    token = tmp_path / "token"
    token.write_text("token")
    ledger = Ledger(tmp_path, "job")
    for number in range(MAX_UNSAVED):
        ledger.keep(Finding(Visit(f"http://h/{number}")))
    ledger.db.execute("DROP TABLE exchanges")
    async with OperatorClient(job, token) as client:
        checkpoints = Checkpoints(client, ledger, 60)
        saving = asyncio.create_task(checkpoints.run())
        async with asyncio.timeout(5):
            await checkpoints.grown()
        assert not saving.done()
        saving.cancel()
    ledger.close()
    assert operator.segments == {}
