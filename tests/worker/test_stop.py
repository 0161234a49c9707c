"""Being stopped: politely, twice, by force, and when nothing else helps."""

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest
from operator_stand_in import StandIn, serving
from trap_site import TrapSite
from worker_process import Worker, assignment, eventually, records
from worker_site import RAW, Site

NESTED_COUNT = "//div[count(.//div[count(.//div[count(.//div) > 0]) > 0]) > 0]"
"""An XPath that does not end on deeply nested pages within anybody's patience."""


async def until_seen(site: Site, path: str) -> None:
    await eventually(lambda: path in site.seen)


def children(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_ready(child: psutil.Process) -> bool:
    """Tell whether an extraction process has seen to its death with its parent; what it does then is to read."""
    return Path(f"/proc/{child.pid}/oom_score_adj").read_text(encoding="ascii").strip() == "1000"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_signal_keeps_what_is_done(
    worker: Worker, site: Site, operator: StandIn, number: signal.Signals
) -> None:
    """What is in flight is cut short, the rest is handed back, results and outcome are stored, the code is 143."""
    job = assignment(operator, f"{site.url}/page/1", f"{site.url}/slow/30", *[f"{site.url}/slow/31"] * 9)
    process = await worker.start(job | {"fetch": {"concurrency": 1}})
    await until_seen(site, "/slow/30")
    operator.delay = 0.5
    asked = time.monotonic()
    process.send_signal(number)
    await eventually(lambda: "results" in operator.tries)
    process.send_signal(number)  # a second one must not break it
    ended = await worker.end(process)
    assert time.monotonic() - asked < 20
    assert ended.code == 143, ended.log
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("Interrupted", "Infrastructure")
    assert (ended.outcome.total, ended.outcome.succeeded, ended.outcome.failed) == (11, 1, 0)
    assert operator.lines == records(ended)
    assert operator.outcome is not None
    assert operator.outcome.failure == failure


async def test_a_stop_before_anything_is_done_still_leaves_an_outcome(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """No results, but an outcome in both places."""
    process = await worker.start(assignment(operator, f"{site.url}/slow/30"))
    await until_seen(site, "/slow/30")
    process.send_signal(signal.SIGTERM)
    ended = await worker.end(process)
    assert ended.code == 143
    assert ended.outcome.stored is None
    assert operator.results is None
    assert operator.outcome == ended.outcome


async def test_a_stop_signal_shortens_the_wait_for_the_operator(
    worker: Worker, site: Site, unreachable: StandIn
) -> None:
    """While the operator is down, a stop signal ends the trying within the grace period."""
    process = await worker.start(assignment(unreachable, f"{site.url}/page/1"), CRAWL_GRACE_SECONDS="2")
    assert process.stderr is not None
    async with asyncio.timeout(60):
        async for line in process.stderr:
            if b'what="results"' in line:  # they could not be stored, so the crawl is over
                break
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    ended = await worker.end(process)
    assert time.monotonic() - asked < 10
    assert ended.outcome.failure is not None
    assert ended.outcome.failure.code == "ResultStoreUnavailable"
    assert records(ended)


async def test_a_killed_worker_leaves_no_process_behind(worker: Worker, site: Site, operator: StandIn) -> None:
    """SIGKILL takes the extraction process too, even while it is busy and looks at no pipe."""
    RAW["poison"] = ("text/html", b"<div>" * 300)
    selectors = [{"name": "n", "xpath": NESTED_COUNT, "many": True}]
    job = assignment(operator, f"{site.url}/raw/poison", extract={"selectors": selectors})
    process = await worker.start(job)
    await until_seen(site, "/raw/poison")
    started = children(process)
    assert started
    await eventually(lambda: all(map(is_ready, started)))
    spent = sum(child.cpu_times().user for child in started)
    await eventually(lambda: sum(child.cpu_times().user for child in started) > spent + 0.3)  # it is reading
    process.kill()
    await process.wait()
    await eventually(lambda: not any(alive(child) for child in started), 5)


async def test_a_worker_listens_nowhere_and_leaves_no_process_behind(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """While it runs it opens no port; after a normal end none of its children lives."""
    site.free = 1
    process = await worker.start(assignment(operator, f"{site.url}/page/1", f"{site.url}/page/2"))
    await until_seen(site, "/page/1")
    started = children(process)
    for one in (psutil.Process(process.pid), *started):
        assert all(connection.status != psutil.CONN_LISTEN for connection in one.net_connections())
    site.released.set()
    await worker.end(process)
    await eventually(lambda: not any(alive(child) for child in started), 5)


async def test_a_stuck_event_loop_is_ended_by_the_watchdog(worker: Worker, site: Site, operator: StandIn) -> None:
    """When the main thread never comes back, the watchdog leaves the outcome and ends the process."""
    worker.token.unlink()
    os.mkfifo(worker.token)  # reading it blocks the event loop's thread for good
    process = await worker.start(assignment(operator, f"{site.url}/page/1"), CRAWL_GRACE_SECONDS="0.5")
    assert process.stderr is not None
    assert b"attempt started" in await process.stderr.readline()
    await asyncio.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    ended = await worker.end(process, 10)
    assert ended.code == 143
    assert ended.outcome.failure is not None
    assert ended.outcome.failure.code == "Interrupted"
    assert "stuck" in ended.log


@pytest.mark.parametrize("wanted", ["Site", "Batch"])
async def test_a_stopped_crawl_is_handed_back_whole_and_goes_on_elsewhere(
    worker: Worker, operator: StandIn, wanted: str
) -> None:
    """Whoever comes next, on another node, asks for nothing that is done, and for what was in flight once more."""
    traps = TrapSite(articles=300, delay=0.02)

    def hold() -> None:
        if traps.seen.total() > 25:
            traps.delay = 600  # else all might be done before the signal is heard

    traps.on_request = hold
    async with serving(traps.application()) as port:
        traps.url = f"http://127.0.0.1:{port}"
        pages = [f"{traps.url}/article/{n}" for n in range(1, 51)]
        job = assignment(operator, *pages, fetch={"concurrency": 4})
        if wanted == "Site":
            job |= {"type": "Site", "batch": None, "site": {"startUrls": [traps.start], "maxDepth": traps.depth}}
        process = await worker.start(job)
        await eventually(lambda: traps.seen.total() > 25)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        ended = await worker.end(process)
        assert time.monotonic() - asked < 20
        failure = ended.outcome.failure
        assert failure is not None
        assert (ended.code, failure.code, failure.cause) == (143, "Interrupted", "Infrastructure")
        assert {error.code for error in ended.outcome.errors} <= {"HTTP_404", "RobotsDisallowed"}, "none is cut short"
        assert 0 < len(operator.lines) == ended.outcome.succeeded + ended.outcome.failed
        shutil.rmtree(worker.work)
        worker.work.mkdir()
        traps.on_request, traps.delay = lambda: None, 0.02
        ended = await worker.run(job | {"attempt": 2})
    assert ended.code == 0, ended.log
    crawled = [record["url"] for record in operator.lines]
    assert set(crawled) == (set(pages) if wanted == "Batch" else traps.oracle() | {f"{traps.url}/secret/plans"})
    assert len(crawled) == len(set(crawled))
    again = [path for path in traps.repeated() if path not in {"/robots.txt", "/sitemaps/index.xml"}]
    assert len(again) <= 4
