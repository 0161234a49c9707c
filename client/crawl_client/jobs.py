"""CrawlJobs: submit, find, change, end."""

import heapq
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from crawl_api.names import (
    ANNOTATION_CANCEL,
    ANNOTATION_REQUEUE,
    LABEL_JOB_ID,
    LABEL_TASK_ID,
    PLURAL,
)
from crawl_client import dialects
from crawl_client.answers import Event, Page
from crawl_client.collection import Collection
from crawl_client.errors import ConflictError, NotFoundError, ValidationError
from crawl_client.filters import EVERY, Filter
from crawl_client.models import Job
from crawl_client.transport import Transport

if TYPE_CHECKING:
    from crawl_client.requested import NewJob  # the models take their time to load

MUTABLE: Final = frozenset({"priority", "metadata", "suspend", "cancel", "ttl", "notify"})
_JOB_ID: Final = re.compile(r"job_[0-9a-f]{32}")
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Jobs:
    """CrawlJobs, as `client.jobs`. `namespace` is the client's where none is given, and "" is all of them."""

    def __init__(self, transport: Transport) -> None:
        self.objects = Collection(transport, PLURAL, Job)

    async def submit(self, job: "NewJob", *, dry_run: bool = False) -> Job:
        """Create a job.

        Args:
            job: from a factory such as `single`, or `NewJob.from_dict`.
            dry_run: let the API server decide, and store nothing.

        Returns:
            The job as it is stored.

        Raises:
            ConflictError: there is one of that name.
            ValidationError: the API server refuses it.

        Example::

            job = await client.jobs.submit(single("https://example.org/", priority="high"))
        """
        try:
            return await self.objects.create(job.manifest(), dry_run=dry_run)
        except ConflictError as error:
            # A first try may have gone well though its answer was lost.
            if not getattr(error, "__notes__", None):
                raise
            found = await self.objects.read(job.name, job.namespace)
            if not _covers(found.raw["spec"], job.spec):
                raise
            return found

    async def get(self, name: str, namespace: str | None = None) -> Job:
        """Read a job by its name, its UID, its display name, or what other systems call it (labels job-id, task-id).

        Raises:
            NotFoundError: there is none.

        Example::

            job = await client.jobs.get("docs")
            print(job.phase, job.percent)
        """
        missing: NotFoundError | None = None
        if _NAME.fullmatch(name):
            try:
                return await self.objects.read(name, namespace)
            except NotFoundError as error:
                missing = error
        label = LABEL_JOB_ID if _JOB_ID.fullmatch(name) else LABEL_TASK_ID if name.isdigit() else ""
        if label or _UUID.fullmatch(name) or not missing:
            async for page, _ in self.objects.pages(namespace, labels=f"{label}={name}" if label else ""):
                for job in page:
                    if label or name in {job.uid, job.display_name}:
                        return job
        raise missing or NotFoundError(f'crawljobs.crawl-operator.io "{name}" not found', 404, reason="NotFound")

    async def iterate(self, where: Filter = EVERY, namespace: str | None = None) -> AsyncIterator[Job]:
        """Yield all jobs that are meant, page by page, in order of their names: memory stays flat.

        Example::

            async for job in client.jobs.iterate(Filter(phase="failed")):
                print(job.name, job.last_error)
        """
        async for page, _ in self.objects.pages(namespace, labels=where.label_selector, fields=where.fields):
            for job in page:
                if where.matches(job):
                    yield job

    async def list(
        self,
        where: Filter = EVERY,
        namespace: str | None = None,
        *,
        limit: int = 50,
        offset: int = 0,
        page: int | None = None,
    ) -> Page[Job]:
        """Return a page of the jobs that are meant, the newest first; all are looked at, `limit + offset` are kept.

        Args:
            where: which jobs.
            namespace: whose.
            limit: jobs on a page, 1 to 1000.
            offset: jobs to leave out.
            page: its number, from 1, instead of `offset`.

        Example::

            page = await client.jobs.list(Filter(type="single"), limit=20, page=1)
            print([job.name for job in page.items], page.total)
        """
        if not 1 <= limit <= 1000 or offset < 0 or (page is not None and page < 1):
            raise ValidationError(["limit must be 1 to 1000, offset 0 or more, page 1 or more"])
        start = (page - 1) * limit if page is not None else offset
        count, kept = 0, list[tuple[Any, str, str, Job]]()
        async for job in self.iterate(where, namespace):
            count += 1
            entry = (job.created, job.namespace, job.name, job)
            if len(kept) < start + limit:
                heapq.heappush(kept, entry)
            else:
                heapq.heappushpop(kept, entry)
        newest = sorted(kept, reverse=True)[start:]
        return Page(tuple(job for *_, job in newest), count, limit, start)

    def watch(
        self, where: Filter = EVERY, namespace: str | None = None, *, since: str = ""
    ) -> AsyncGenerator[Event[Job], None]:
        """Yield what happens to the jobs that are meant: first what there is, then each change, without end.

        Args:
            where: which jobs; `search` is not looked at.
            namespace: whose.
            since: the resource version after which changes are wanted, instead of what there is.

        Example::

            async for event in client.jobs.watch():
                print(event.type, event.object.name, event.object.phase)
                if event.object.finished:
                    break
        """
        return self.objects.changes(namespace, labels=where.label_selector, fields=where.fields, since=since)

    async def cancel(self, name: str, namespace: str | None = None) -> Job:
        """End a job for good; a running worker is stopped first. It is over when its phase says so.

        The annotation is set and not `spec.cancel`, which Git may own.

        Raises:
            ConflictError: it has ended already.

        Example::

            await client.jobs.cancel("waiting")
        """
        job = await self.get(name, namespace)
        if job.finished:
            raise ConflictError(f"{job.name} has ended ({job.phase}) and cannot be cancelled", 409, reason="Finished")
        return await self._annotate(job, ANNOTATION_CANCEL, "true")

    async def suspend(self, name: str, namespace: str | None = None) -> Job:
        """Hold a job: a running worker hands back what it has.

        Raises:
            ConflictError: it has ended already.

        Example::

            await client.jobs.suspend("waiting")
        """
        job = await self.get(name, namespace)
        if job.finished:
            raise ConflictError(f"{job.name} has ended ({job.phase}) and cannot be suspended", 409, reason="Finished")
        return await self.update(job.name, namespace, suspend=True)

    async def resume(self, name: str, namespace: str | None = None) -> Job:
        """Let a suspended job go on from where it was.

        Example::

            await client.jobs.resume("held")
        """
        return await self.update(name, namespace, suspend=False)

    async def requeue(self, name: str, namespace: str | None = None) -> Job:
        """Run a finished job once more, from the beginning and with fresh attempts.

        Raises:
            ConflictError: it has not ended, or is cancelled by its spec.

        Example::

            await client.jobs.requeue("docs")
        """
        job = await self.get(name, namespace)
        if not job.finished:
            raise ConflictError(
                f"{job.name} is {job.phase}: only what has ended is run again", 409, reason="NotFinished"
            )
        if job.raw["spec"].get("cancel"):
            raise ConflictError(f"{job.name} has spec.cancel: take that away first", 409, reason="Cancelled")
        if job.annotations.get(ANNOTATION_CANCEL):
            job = await self._annotate(job, ANNOTATION_CANCEL, None)
        return await self._annotate(job, ANNOTATION_REQUEUE, uuid.uuid4().hex)

    async def update(self, name: str, namespace: str | None = None, **changes: Any) -> Job:
        """Change what may change after creation: priority, suspend, cancel, ttl, notify, metadata.

        Raises:
            ValidationError: something else was to change, or not any more.

        Example::

            await client.jobs.update("waiting", priority="high", ttl={"resultSeconds": 60})
        """
        if fixed := set(changes) - MUTABLE:
            raise ValidationError(
                [
                    f"spec.{each}: {each} cannot change after creation; create a new CrawlJob instead"
                    for each in sorted(fixed)
                ]
            )
        if "priority" in changes:
            changes["priority"] = dialects.priority(changes["priority"])
        return await self.objects.patch((await self.get(name, namespace)).name, {"spec": changes}, namespace)

    async def delete(self, name: str, namespace: str | None = None) -> None:
        """Remove a job, its workers and its result.

        Raises:
            NotFoundError: there is none.

        Example::

            await client.jobs.delete("docs")
        """
        job = await self.get(name, namespace)
        await self.objects.remove(job.name, job.namespace)

    async def _annotate(self, job: Job, annotation: str, value: str | None) -> Job:
        return await self.objects.patch(job.name, {"metadata": {"annotations": {annotation: value}}}, job.namespace)


def _covers(stored: Any, sent: Any) -> bool:
    """Tell whether an object has all that was sent, whatever defaults were filled in."""
    if isinstance(sent, Mapping):
        return isinstance(stored, Mapping) and all(_covers(stored.get(key), value) for key, value in sent.items())
    if isinstance(sent, (list, tuple)):
        return isinstance(stored, list) and len(stored) == len(sent) and all(map(_covers, stored, sent))
    return bool(stored == sent)
