"""Near its memory limit a worker stops by itself, and another attempt goes on."""

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment
from worker_site import Site

from crawl_worker.memory import SHARE, readers


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
