"""Dead letters: jobs whose attempts are used up, kept for a person to look at, run again, or throw away."""

from collections.abc import AsyncIterator
from dataclasses import replace

from crawl_api.enums import Phase
from crawl_client.errors import ConflictError
from crawl_client.filters import EVERY, Filter
from crawl_client.jobs import Jobs
from crawl_client.models import Job


class DeadLetters:
    """Dead letters, as `client.dead_letters`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def iterate(self, where: Filter = EVERY, namespace: str | None = None) -> AsyncIterator[Job]:
        """Yield them all; the reason stands in the annotation `crawl-operator.io/dead-letter-reason`.

        Example::

            async for job in client.dead_letters.iterate():
                print(job.name, job.last_error)
        """
        async for job in self._jobs.iterate(replace(where, phase=Phase.DEAD_LETTER), namespace):
            yield job

    async def get(self, name: str, namespace: str | None = None) -> Job:
        """Read one.

        Raises:
            ConflictError: the job is none.
            NotFoundError: there is no such job.

        Example::

            job = await client.dead_letters.get("dead")
            print(job.status.errors)
        """
        job = await self._jobs.get(name, namespace)
        if not job.dead:
            raise ConflictError(f"{job.name} is {job.phase} and no dead letter", 409, reason="NotDeadLetter")
        return job

    async def requeue(self, name: str, namespace: str | None = None) -> Job:
        """Run one once more, with fresh attempts.

        Example::

            await client.dead_letters.requeue("dead")
        """
        job = await self.get(name, namespace)
        return await self._jobs.requeue(job.name, job.namespace)

    async def purge(self, name: str, namespace: str | None = None) -> None:
        """Remove one for good.

        Example::

            await client.dead_letters.purge("dead")
        """
        job = await self.get(name, namespace)
        await self._jobs.delete(job.name, job.namespace)
