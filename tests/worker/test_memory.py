"""Near its memory limit a worker stops by itself, and another attempt goes on."""

import asyncio
from pathlib import Path

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment, eventually
from worker_site import Site

from crawl_worker.memory import SHARE, MemoryGuard, readers

FILES = {
    2: ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    1: ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
}
"""Limit, use and statistics of a container, by version of the kernel's interface."""
LIMIT = 1_000_000_000


def container(folder: Path, version: int, *, limit: object, used: int, inactive: int) -> Path:
    """Return a folder that tells of a container as the kernel does."""
    *files, name = FILES[version]
    (folder / "memory").mkdir(exist_ok=True)
    statistics = f"anon 12\nfile 34\n{name} {inactive}\nactive_file 99999999"
    for file, content in zip(files, (limit, used, statistics), strict=True):
        (folder / file).write_text(f"{content}\n")
    return folder


async def is_exhausted(guard: MemoryGuard) -> bool:
    """Tell whether the guard finds its memory used up at its first look; without a limit it has none."""
    looking = asyncio.create_task(guard.exhausted())
    if guard.limit:
        await eventually(lambda: looking.done() or guard.used > 0)
    else:
        await asyncio.sleep(0.8)
    if looking.done():
        await looking
        return True
    looking.cancel()
    return False


@pytest.mark.parametrize("version", [1, 2])
async def test_a_container_may_use_85_percent_of_its_limit(tmp_path: Path, version: int) -> None:
    """What the kernel can take back, pages of files that nobody uses, does not count."""
    inactive = 300_000_000
    below = container(tmp_path, version, limit=LIMIT, used=849_999_999 + inactive, inactive=inactive)
    guard = MemoryGuard(0, below)
    assert guard.limit == LIMIT
    assert not await is_exhausted(guard)
    assert guard.used == 849_999_999
    above = container(tmp_path, version, limit=LIMIT, used=850_000_000 + inactive, inactive=inactive)
    assert await is_exhausted(MemoryGuard(0, above))


@pytest.mark.parametrize(("version", "unlimited"), [(1, 9223372036854771712), (2, "max")])
async def test_a_container_without_limit_is_left_alone(tmp_path: Path, version: int, unlimited: object) -> None:
    guard = MemoryGuard(0, container(tmp_path, version, limit=unlimited, used=1 << 40, inactive=0))
    assert guard.limit == 0
    assert not await is_exhausted(guard)


async def test_no_container_is_no_limit(tmp_path: Path) -> None:
    assert MemoryGuard(0, tmp_path).limit == 0


async def test_a_worker_near_its_limit_hands_over_and_the_next_attempt_goes_on(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """The failure says so; nothing that was done is done again."""
    site.delay = 0.3
    urls = [f"{site.url}/page/{n}" for n in range(20)]
    job = assignment(operator, *urls, fetch={"concurrency": 2})
    ended = await worker.run(job, CRAWL_MEMORY_LIMIT_BYTES="1000000")
    assert ended.code == 1, ended.log
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("MemoryLimit", "Transient")
    done = ended.outcome.succeeded
    assert done < len(urls)
    ended = await worker.run(job | {"attempt": 2})
    assert ended.code == 0, ended.log
    assert sorted(record["url"] for record in operator.lines) == sorted(urls)
    assert ended.outcome.succeeded == len(urls)


async def test_a_worker_far_from_its_limit_is_left_alone(worker: Worker, site: Site, operator: StandIn) -> None:
    site.delay = 1
    ended = await worker.run(assignment(operator, f"{site.url}/page/1"), CRAWL_MEMORY_LIMIT_BYTES=str(4 << 30))
    assert ended.code == 0, ended.log


@pytest.mark.parametrize("limit", [256 << 20, 512 << 20, 680 << 20, 1 << 30, 4 << 30])
def test_what_reads_pages_cannot_use_up_the_memory(limit: int) -> None:
    """One process where there is no room for two; each has what large pages need, as soon as one can have it."""
    count, memory = readers(2, 1 << 30, limit)
    assert count == (2 if limit > 678 << 20 else 1)
    assert memory >= (160 << 20 if limit >= 512 << 20 else 64 << 20)
    assert memory <= 1 << 30
    if limit >= 512 << 20:
        assert count * memory + (256 << 20) <= SHARE * limit


def test_without_a_limit_what_reads_pages_has_what_it_is_set_to() -> None:
    assert readers(3, 1 << 30, 0) == (3, 1 << 30)
