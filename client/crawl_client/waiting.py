"""Waiting for jobs: one watch for however many; asking again and again where no watch is to be had."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable

from crawl_client.errors import APIError, ForbiddenError, JobFailedError, NotFoundError, UnavailableError
from crawl_client.errors import TimeoutError as WaitedTooLongError
from crawl_client.filters import Filter
from crawl_client.jobs import Jobs
from crawl_client.models import Job

Until = Callable[[Job], bool]


def finished(job: Job) -> bool:
    """Tell whether a job has ended."""
    return job.finished


async def wait(  # noqa: PLR0913 - what waiting may be told
    jobs: Jobs,
    name: str,
    namespace: str | None = None,
    *,
    until: Until = finished,
    timeout: float | None = None,  # noqa: ASYNC109 - part of the face
    poll: float = 2.0,
    seen: Callable[[Job], None] | None = None,
    check: bool = True,
) -> Job:
    """Wait for a job; see `wait_all`.

    Args:
        jobs: where it is.
        name: which; everything that `Jobs.get` understands.
        namespace: whose.
        until: what is waited for; its end.
        timeout: seconds; None waits as long as it takes.
        poll: seconds between two questions where it cannot be watched.
        seen: called with the job whenever it is seen.
        check: raise where it ended without success.

    Raises:
        JobFailedError: it ended without success (only with `check`).
        NotFoundError: there is none, or it was deleted.
        TimeoutError: it took longer.
    """
    job = await jobs.get(name, namespace)
    found = await wait_all(jobs, [job.name], job.namespace, until=until, timeout=timeout, poll=poll, seen=seen)
    job = found[job.name]
    if check and job.finished and not job.succeeded:
        why = job.last_error or job.reason
        raise JobFailedError(f"{job.name} ended {job.phase}" + (f": {why}" if why else ""), job.phase)
    return job


async def wait_all(  # noqa: PLR0913 - what waiting may be told
    jobs: Jobs,
    names: Iterable[str],
    namespace: str | None = None,
    *,
    until: Until = finished,
    timeout: float | None = None,  # noqa: ASYNC109 - part of the face
    poll: float = 2.0,
    seen: Callable[[Job], None] | None = None,
) -> dict[str, Job]:
    """Wait for jobs of a namespace, however many, with one watch.

    A job that ends can no longer come to what is waited for, so that is enough for it too.

    Returns:
        The jobs by their names, in the order in which they came to it.

    Raises:
        NotFoundError: one does not exist, or was deleted.
        TimeoutError: it took longer; it names those that are missing.
    """
    missing = dict.fromkeys(names)
    found: dict[str, Job] = {}
    if not missing:
        return found
    try:
        async with asyncio.timeout(timeout), contextlib.aclosing(_states(jobs, missing, namespace, poll)) as states:
            async for job in states:
                if job.name not in missing:
                    continue
                if seen is not None:
                    seen(job)
                if until(job) or job.finished:
                    found[job.name] = job
                    del missing[job.name]
                if not missing:
                    break
    except TimeoutError as error:
        shown = ", ".join(list(missing)[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise WaitedTooLongError(f"not over after {timeout:g} s: {shown}; it goes on") from error
    return found


async def _states(jobs: Jobs, names: dict[str, None], namespace: str | None, poll: float) -> AsyncGenerator[Job, None]:
    """Yield what jobs are, again with each change, as long as `names` are looked for."""
    alone = Filter(selector=f"metadata.name={next(iter(names))}") if len(names) == 1 else Filter()
    there = set[str]()
    try:
        async with contextlib.aclosing(_watched(jobs, alone, names, namespace, there)) as states:
            async for job in states:
                yield job
    except NotFoundError:
        raise
    except (ForbiddenError, UnavailableError):
        async with contextlib.aclosing(_polled(jobs, names, namespace, poll)) as states:
            async for job in states:
                yield job


async def _watched(
    jobs: Jobs, where: Filter, names: dict[str, None], namespace: str | None, there: set[str]
) -> AsyncGenerator[Job, None]:
    version = ""
    async for page, version in jobs.objects.pages(namespace, fields=where.fields):  # noqa: B007 - used after the loop
        for job in page:
            there.add(job.name)
            yield job
    if absent := [name for name in names if name not in there]:
        raise _gone(absent[0])
    async with contextlib.aclosing(jobs.watch(where, namespace, since=version)) as events:
        async for event in events:
            if event.type == "DELETED" and event.object.name in names:
                raise _gone(event.object.name)
            yield event.object


async def _polled(jobs: Jobs, names: dict[str, None], namespace: str | None, poll: float) -> AsyncGenerator[Job, None]:
    failures = 0
    while names:
        try:
            for name in list(names):
                yield await jobs.objects.read(name, namespace)
            failures = 0
        except UnavailableError:
            failures += 1
            if failures > 5:
                raise
        await asyncio.sleep(poll)


def _gone(name: str) -> APIError:
    return NotFoundError(f'crawljobs.crawl-operator.io "{name}" not found', 404, reason="NotFound")
