"""What is sent to `/jobs` and what is answered; names as their clients have them."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from crawl_api.base import Time

EXAMPLE: Final[JsonDict] = {
    "type": "bulk_import",
    "payload": {"file": "https://example.org/orders.csv", "format": "csv"},
}


class Wire(BaseModel):
    """A piece of a request or an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)


class EnqueueJobPayload(Wire):
    """A job to be run."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    type: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    """The processor's name; or single_crawl, batch_crawl, site_crawl, pdf or maintenance."""
    payload: Any = Field(...)
    """What it is told; null where there is nothing to tell."""


class EnqueueJobResponse(Wire):
    """A job has been stored."""

    job_id: str
    """`job_` and 32 hexadecimal digits."""
    status: str
    """QUEUED."""
    created_at: Time


class JobFault(Wire):
    """One thing that went wrong."""

    code: str
    """One word for machines, such as HTTP_404, Timeout, Cancelled."""
    message: str
    details: dict[str, str]
    """Further facts."""
    context: dict[str, Any]
    """Where it happened: `url`, `attempt`, `retryable`, `occurred_at`."""


class JobProgressResponse(Wire):
    """Where a job stands."""

    job_id: str
    type: str
    status: str
    """QUEUED, RUNNING, SUCCESS, PARTIAL_SUCCESS or FAILED."""
    progress: int
    """Percent."""
    result_url: str | None
    errors: list[JobFault] | None
    created_at: Time
    updated_at: Time
    started_at: Time | None
    completed_at: Time | None


class JobsErrorDetail(Wire):
    """Why a request was not done."""

    code: str
    """One word for machines."""
    message: str
    details: list[str]
    """One sentence for each thing that is wrong with what was sent."""


class JobsError(Wire):
    """An error."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": {"code": "NotFound", "message": "job not found", "details": []}}]}
    )

    error: JobsErrorDetail
