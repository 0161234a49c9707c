"""Requests that may come twice: what makes a repetition known, without a memory of the gateway's own."""

import hashlib
import re
from dataclasses import replace
from typing import Final

from pydantic_core import to_json

from crawl_api.names import ANNOTATION_REQUEST
from crawl_client.models import Job
from crawl_client.requested import NewJob
from crawl_gateway.errors import RefusedError, bad_request, refused

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def keyed(job: NewJob, namespace: str, key: str, *, named: bool) -> NewJob:
    """Return a job whose name follows from the key, so that the API server itself stores it once.

    Args:
        job: what was asked for.
        namespace: where.
        key: what the caller calls the request.
        named: whether the caller gave the job its name, which then stays.

    Raises:
        RefusedError: 400: that is no key.
    """
    if not _KEY.fullmatch(key):
        raise bad_request(f"{HEADER}: 1 to 255 visible ASCII characters are wanted")
    what = {"key": key, "spec": job.spec, "labels": job.labels, "annotations": job.annotations}
    digest = _digest(to_json(what))
    name = job.name if named else f"request-{_digest(to_json([namespace, key]))[:40]}"
    return replace(job, name=name, annotations={**job.annotations, ANNOTATION_REQUEST: digest})


def repeated(new: NewJob, found: Job) -> bool:
    """Tell whether the job that there is was made by the same request.

    Raises:
        RefusedError: 422: the key was used for another one.
    """
    before = found.annotations.get(ANNOTATION_REQUEST)
    if before is None or ANNOTATION_REQUEST not in new.annotations:
        return False
    if before != new.annotations[ANNOTATION_REQUEST]:
        message = f"{HEADER} was used for another request, which made {found.name}"
        raise _reused(message)
    return True


def _reused(message: str) -> RefusedError:
    return refused(422, "IdempotencyKeyReused", message)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
