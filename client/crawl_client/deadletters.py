"""Dead letters: jobs whose attempts are used up, kept for a person to look at, run again, or throw away."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from crawl_api.names import ANNOTATION_DEAD_LETTER
from crawl_client.errors import ConflictError
from crawl_client.jobs import Filter, Jobs
from crawl_client.models import Job

_LABEL: Final = f"{ANNOTATION_DEAD_LETTER}=true"


class DeadLetters:
    """Dead letters, as `client.dead_letters`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def iterate(self, where: Filter = Filter(), namespace: str | None = None) -> AsyncIterator[Job]:  # noqa: B008 - frozen
        """Yield them all; the reason stands in the annotation `crawl-operator.io/dead-letter-reason`."""
        labelled = replace(where, labels=",".join(part for part in (where.labels, _LABEL) if part))
        async for job in self._jobs.iterate(labelled, namespace):
            if job.dead:
                yield job

    async def get(self, name: str, namespace: str | None = None) -> Job:
        """Read one.

        Raises:
            ConflictError: the job is none.
            NotFoundError: there is no such job.
        """
        job = await self._jobs.get(name, namespace)
        if not job.dead:
            raise ConflictError(f"{job.name} is {job.phase} and no dead letter", 409, reason="NotDeadLetter")
        return job

    async def requeue(self, name: str, namespace: str | None = None) -> Job:
        """Run one once more, with fresh attempts."""
        job = await self.get(name, namespace)
        return await self._jobs.requeue(job.name, job.namespace)

    async def purge(self, name: str, namespace: str | None = None) -> None:
        """Remove one for good."""
        job = await self.get(name, namespace)
        await self._jobs.delete(job.name, job.namespace)
