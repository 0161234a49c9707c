"""Integer ids, for systems that know no others: given once, whoever gives them, with no counter anywhere.

Each write of the API server makes a new resource version, and no two objects ever have the same: so any version that
an object has had is a number that no other object can come by in this way. It is kept in a label, set under the
condition that the object has not changed since, so that of two gateways one wins and the other reads what it gave.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from crawl_api.names import LABEL_TASK_ID
from crawl_client.bulk import for_each
from crawl_client.collection import Collection
from crawl_client.errors import ConflictError, NotFoundError, UnavailableError
from crawl_client.models import Job
from crawl_gateway.mirror import Mirror

_TRIES: Final = 12


async def number(objects: Collection[Job], mirror: Mirror[Job], job: Job) -> Job:
    """Return a job that has its integer id, in the label `task-id`; it is given one if need be.

    Raises:
        AppError: it cannot be given one now.
    """
    for tried in range(_TRIES):
        if _own(mirror, job):
            return job
        version = job.raw["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version, "labels": {LABEL_TASK_ID: version}}}
        try:
            job = mirror.own(await objects.patch(job.name, patch, job.namespace))
        except ConflictError:
            await asyncio.sleep(random.uniform(0, 0.02 * tried))  # noqa: S311 - no secret
            job = mirror.own(await objects.read(job.name, job.namespace))  # its number may be asked for next
    raise UnavailableError(f"{job.name} changes too fast to be given a number", 503)


async def numbered(objects: Collection[Job], mirror: Mirror[Job], jobs: Sequence[Job]) -> list[Job]:
    """Return those of the jobs that are still there, each with its integer id.

    Raises:
        AppError: one of them cannot be given one now.
    """
    outcome = await for_each(jobs, lambda job: number(objects, mirror, job), name=lambda job: job.name)
    for failure in outcome.failed:
        if not isinstance(failure.error, NotFoundError):
            raise failure.error
    return list(outcome.done)


def number_of(job: Job) -> int:
    """Return the integer id of a job that has one."""
    return int(job.labels[LABEL_TASK_ID])


def _own(mirror: Mirror[Job], job: Job) -> bool:
    """Tell whether a job has a number, and not one that came along with a copy of another's labels."""
    text = job.labels.get(LABEL_TASK_ID, "")
    if not (text.isascii() and text.isdigit()):
        return False
    holder = mirror.shelf.called(job.namespace, LABEL_TASK_ID, text)
    return holder is None or holder.uid == job.uid
