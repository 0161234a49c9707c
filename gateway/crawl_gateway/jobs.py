"""CrawlJobs, as one caller handles them in one namespace."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crawl_client import waits
from crawl_client.answers import Outcome
from crawl_client.bulk import for_each
from crawl_client.errors import ConflictError, ValidationError
from crawl_client.jobs import MUTABLE, Jobs
from crawl_client.models import Job
from crawl_client.requested import NewJob
from crawl_gateway import idempotency, numbers
from crawl_gateway.desk import Desk
from crawl_gateway.errors import bad_request, refused
from crawl_gateway.selection import Listed, Paging, Selection, page_of
from crawl_gateway.statistics import Counts, Statistics, counted


@dataclass(frozen=True)
class JobDesk(Desk[Job]):
    """Jobs: submit, find, change, end. Every id is one of `crawl_gateway.ids`."""

    jobs: Jobs
    counts: Counts

    async def submit(self, new: NewJob, *, key: str = "", named: bool = False, dry_run: bool = False) -> Job:
        """Create a job.

        Args:
            new: from a factory of `crawl_client`, or `NewJob.from_dict`; its namespace is this one.
            key: the caller's idempotency key: the same request again is answered with the same job.
            named: whether the caller gave the job its name; with a key, other names follow from it.
            dry_run: let the API server decide, and store nothing.

        Raises:
            RefusedError: 403; 422: the key was used for another request.
            AppError: see `crawl_client.errors`.
        """
        new = self._here(new)
        if key:
            new = idempotency.keyed(new, self.namespace, key, named=named)
        await self.require("create")
        try:
            job = await self.jobs.submit(new, dry_run=dry_run)
        except ConflictError:
            if not key:
                raise
            found = await self.objects.read(new.name, self.namespace)
            if not idempotency.repeated(new, found):
                raise
            return found
        return job if dry_run else self.mirror.own(job)

    async def submit_all(self, new: Iterable[NewJob]) -> Outcome[Job]:
        """Create many jobs; one that is refused stops no other."""
        await self.require("create")
        return await for_each(new, self.submit, name=lambda job: job.name)

    async def list(self, selection: Selection = Selection(), paging: Paging = Paging()) -> Listed[Job]:  # noqa: B008 - frozen
        """Return a page of the jobs that are meant, in slim form, from memory.

        Raises:
            RefusedError: 403.
        """
        await self.require("list")
        return page_of(self.mirror.shelf.oldest_first(self.namespace), selection, paging, self.mirror.version)

    async def statistics(self) -> Statistics:
        """Count the jobs, from memory; not more than a second old."""
        await self.require("list")
        return await counted(self.counts, self.mirror.shelf, self.namespace)

    async def cancel(self, text: str) -> Job:
        """End a job for good.

        Raises:
            ConflictError: it has ended already.
        """
        return self.mirror.own(await self.jobs.cancel(await self.locate(text, "patch"), self.namespace))

    async def suspend(self, text: str) -> Job:
        """Hold a job."""
        return self.mirror.own(await self.jobs.suspend(await self.locate(text, "patch"), self.namespace))

    async def resume(self, text: str) -> Job:
        """Let a job go on that is held."""
        return self.mirror.own(await self.jobs.resume(await self.locate(text, "patch"), self.namespace))

    async def requeue(self, text: str) -> Job:
        """Run a job again that has ended."""
        return self.mirror.own(await self.jobs.requeue(await self.locate(text, "patch"), self.namespace))

    async def update(self, text: str, changes: dict[str, Any], *, version: str = "") -> Job:
        """Change what may change of a job's spec.

        Args:
            text: which.
            changes: members of the spec, by their names on the wire; null takes one away.
            version: the resource version that is changed; any if empty.

        Raises:
            RefusedError: 412: it has another version now.
            ValidationError: something else was to change.
        """
        if fixed := sorted(set(changes) - MUTABLE):
            raise ValidationError([f"spec.{each}: cannot change after creation" for each in fixed])
        name = await self.locate(text, "patch")
        patch: dict[str, Any] = {"spec": changes}
        if version:
            patch["metadata"] = {"resourceVersion": version}
        try:
            return self.mirror.own(await self.objects.patch(name, patch, self.namespace))
        except ConflictError as error:
            if not version:
                raise
            raise refused(412, "PreconditionFailed", f"{name} is not at version {version} any more") from error

    async def why(self, text: str) -> waits.Why:
        """Say why a job is where it is."""
        return await waits.why(self.jobs, await self.locate(text, "get"), self.namespace)

    async def number(self, job: Job) -> Job:
        """Return the job with its integer id, `crawl_gateway.numbers.number_of`; it is given one if need be."""
        return await numbers.number(self.objects, self.mirror, job)

    async def numbered(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Return the jobs, each with its integer id."""
        return await numbers.numbered(self.objects, self.mirror, jobs)

    def _here(self, new: NewJob) -> NewJob:
        if not self.namespace:
            raise bad_request("namespace: a job is made in one; name it")
        if new.namespace not in {None, self.namespace}:
            raise bad_request(f"metadata.namespace: {new.namespace} is not {self.namespace}, which the request names")
        return replace(new, namespace=self.namespace)
