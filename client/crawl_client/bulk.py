"""Many at once: bounded in number, and one that goes wrong stops no other."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from crawl_client.answers import Failure, Outcome
from crawl_client.errors import AppError
from crawl_client.jobs import Jobs
from crawl_client.models import Job

if TYPE_CHECKING:
    from crawl_client.requested import NewJob

T = TypeVar("T")
R = TypeVar("R")


async def for_each(
    items: Iterable[T], act: Callable[[T], Awaitable[R]], *, name: Callable[[T], str] = str, parallel: int = 16
) -> Outcome[R]:
    """Do something to each item, at most `parallel` of them at once, in order.

    Returns:
        What was done, and what could not be, each in the order of the items.
    """
    results: dict[int, R | Failure] = {}
    todo = enumerate(items)  # shared: each worker takes the next

    async def worker() -> None:
        for number, item in todo:
            try:
                results[number] = await act(item)
            except AppError as error:
                results[number] = Failure(name(item), error)

    async with asyncio.TaskGroup() as group:
        for _ in range(parallel):
            group.create_task(worker())
    ordered = [results[number] for number in sorted(results)]
    failed = tuple(each for each in ordered if isinstance(each, Failure))
    return Outcome(tuple(each for each in ordered if not isinstance(each, Failure)), failed)


async def submit_all(jobs: Jobs, new: "Iterable[NewJob]", *, parallel: int = 16) -> Outcome[Job]:
    """Submit many jobs; `Outcome.failed` says which were not created, and why."""
    return await for_each(new, jobs.submit, name=lambda job: job.name, parallel=parallel)
