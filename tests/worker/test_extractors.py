"""The extraction processes: hostile pages cost themselves, and nothing else."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from crawl_api.options import ExtractOptions
from crawl_worker.errors import PageError
from crawl_worker.extract.pages import Kind
from crawl_worker.extract.pool import Extractors, Source

GIB = 1 << 30
GOOD = Source("http://example.com/", "text/html", Kind.HTML, b"<title>good</title><p>text</p>")
ENDLESS = Source("http://example.com/", "text/html", Kind.HTML, b"<div>" * 300)
NESTED_COUNT = "//div[count(.//div[count(.//div[count(.//div) > 0]) > 0]) > 0]"


@asynccontextmanager
async def extractors(
    *, limit: int = 1, seconds: float = 20, memory: int = GIB, **options: Any
) -> AsyncIterator[Extractors]:
    made = Extractors(ExtractOptions.model_validate(options), limit=limit, seconds=seconds, memory=memory)
    try:
        yield made
    finally:
        await made.close()
        async with asyncio.timeout(10):
            while any(map(running, children())):  # noqa: ASYNC110 (no event tells when a process is gone)
                await asyncio.sleep(0.02)


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if any("extract.process" in part for part in command(child))]


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def running(process: psutil.Process) -> bool:
    return process.is_running()


async def code(extract: Callable[[], Any]) -> str:
    with pytest.raises(PageError) as caught:
        await extract()
    return caught.value.code


async def test_a_page_that_does_not_end_is_killed_and_the_next_is_read() -> None:
    """The time limit holds for code that no thread could interrupt, and the process is replaced."""
    selectors = [{"name": "n", "xpath": NESTED_COUNT, "many": True}]
    async with extractors(seconds=3, selectors=selectors) as made:
        await made.warm_up()
        started = time.monotonic()
        assert await code(lambda: made.extract(ENDLESS)) == "ExtractionTimeout"
        assert time.monotonic() - started < 15
        assert (await made.extract(GOOD)).title == "good"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_crash_is_an_error_of_its_page(number: signal.Signals) -> None:
    """A process that dies under a page is named with its signal; the next page has a new one."""
    selectors = [{"name": "n", "xpath": NESTED_COUNT, "many": True}]
    async with extractors(selectors=selectors) as made:
        await made.warm_up()
        (child,) = children()
        reading = asyncio.create_task(made.extract(ENDLESS))
        await asyncio.sleep(0.5)
        os.kill(child.pid, number)
        with pytest.raises(PageError, match=f"signal {int(number)}") as caught:
            await reading
        assert caught.value.code == "ExtractionFailed"
        assert (await made.extract(GOOD)).title == "good"


async def test_a_page_that_wants_too_much_memory_fails_alone() -> None:
    """The limit is the process's own: neither the crawl nor the pod runs out."""
    large = Source("http://example.com/", "text/html", Kind.HTML, b"<p>x</p>" * 6_000_000)
    async with extractors(memory=160 << 20) as made:
        assert await code(lambda: made.extract(large)) == "ExtractionFailed"
        assert (await made.extract(GOOD)).title == "good"


async def test_processes_start_on_demand_up_to_the_limit() -> None:
    """One page, one process; many pages, no more than the limit; all pages are read."""
    async with extractors(limit=2) as made:
        await asyncio.gather(made.warm_up(), made.extract(GOOD))
        assert len(children()) == 1
        found = await asyncio.gather(*(made.extract(GOOD) for _ in range(20)))
        assert {page.title for page in found} == {"good"}
        assert len(children()) == 2


async def test_giving_up_a_page_ends_its_process() -> None:
    """When the crawl stops, a page that is being read is not waited for."""
    selectors = [{"name": "n", "xpath": NESTED_COUNT, "many": True}]
    async with extractors(selectors=selectors) as made:
        reading = asyncio.create_task(made.extract(ENDLESS))
        await asyncio.sleep(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert (await made.extract(GOOD)).title == "good"


async def test_the_process_knows_no_secret_and_dies_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads hostile pages has no settings of the worker, and is what the kernel takes when memory is short."""
    monkeypatch.setenv("CRAWL_TOKEN_FILE", "/token")
    async with extractors() as made:
        await made.extract(GOOD)
        (child,) = children()
        assert "CRAWL_TOKEN_FILE" not in child.environ()
        with open(f"/proc/{child.pid}/oom_score_adj", encoding="ascii") as score:  # noqa: ASYNC230, PTH123 (procfs does not block)
            assert score.read().strip() == "1000"
