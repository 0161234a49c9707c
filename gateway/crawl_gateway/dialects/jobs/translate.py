"""Jobs ↔ what `/jobs` says of them."""

from collections.abc import Mapping
from typing import Any, Final

from crawl_api.enums import Phase
from crawl_client.models import Job
from crawl_client.requested import NewJob
from crawl_gateway.dialects.jobs.models import EnqueueJobPayload, EnqueueJobResponse, JobFault, JobProgressResponse
from crawl_gateway.dialects.words import made, told, type_name
from crawl_gateway.errors import Problem

STATES: Final[Mapping[Phase, str]] = {
    Phase.PENDING: "QUEUED",
    Phase.DELAYED: "QUEUED",
    Phase.SUSPENDED: "QUEUED",
    Phase.PROCESSING: "RUNNING",
    Phase.RETRY: "QUEUED",
    Phase.COMPLETED: "SUCCESS",
    Phase.PARTIAL_SUCCESS: "PARTIAL_SUCCESS",
    Phase.FAILED: "FAILED",
    Phase.DEAD_LETTER: "FAILED",
    Phase.CANCELLED: "FAILED",
}
_AS_BAD_REQUEST: Final = frozenset({413, 415, 422})


def new_job(request: EnqueueJobPayload) -> NewJob:
    """Return the job that is asked for; one of a built-in type is told the member of `spec` of that name.

    Raises:
        ValidationError: with all that is wrong with it.
    """
    return made(request.type, told(request.payload))


def enqueued(job: Job, job_id: str) -> EnqueueJobResponse:
    """Answer a submission."""
    return EnqueueJobResponse(job_id=job_id, status=STATES[job.phase], created_at=job.submitted)


def status(job: Job, job_id: str) -> JobProgressResponse:
    """Answer where a job stands."""
    return JobProgressResponse(
        job_id=job_id,
        type=type_name(job),
        status=STATES[job.phase],
        progress=job.percent,
        result_url=job.result_url or None,
        errors=_errors(job) or None,
        created_at=job.submitted,
        updated_at=job.updated,
        started_at=job.started,
        completed_at=job.completed,
    )


def _errors(job: Job) -> list[JobFault]:
    found = [
        JobFault(
            code=error.code,
            message=error.message,
            details=error.details,
            context={
                "url": error.url,
                "attempt": error.attempt,
                "retryable": error.retryable,
                "occurred_at": error.time.isoformat().replace("+00:00", "Z"),
            },
        )
        for error in job.status.errors
    ]
    if job.phase is Phase.CANCELLED:
        found.append(JobFault(code="Cancelled", message="cancelled on request", details={}, context={}))
    return found


def render(problem: Problem) -> tuple[int, dict[str, Any]]:
    """Write a problem; what cannot be understood is 400, however it is wrong."""
    status_code = 400 if problem.status in _AS_BAD_REQUEST else problem.status
    return status_code, {"error": {"code": problem.code, "message": problem.message, "details": list(problem.details)}}
