"""`CrawlJob.spec.notify`: whom to tell how the job has ended. The gateway does it, where one runs."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from crawl_api.base import SecretReference, SpecModel
from crawl_api.job_types import WebUrl

MAX_WEBHOOKS: Final = 8
WEBHOOK_KEY: Final = "webhook-key"
"""The entry of a Secret that holds a signing key: no other is ever used for that."""


class Ending(StrEnum):
    """How a job ends: its terminal phases."""

    COMPLETED = "Completed"
    PARTIAL_SUCCESS = "PartialSuccess"
    FAILED = "Failed"
    DEAD_LETTER = "DeadLetter"
    CANCELLED = "Cancelled"


class Webhook(SpecModel):
    """A URL that is told how the job has ended."""

    url: WebUrl
    """Where a POST is sent: an address that is public, or that the administrator allows."""
    events: Annotated[
        tuple[Ending, ...], Field(max_length=len(Ending), json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Which ends are told. Empty: all."""
    secret_ref: SecretReference | None = None
    """A Secret whose entry `webhook-key` signs the message (HMAC-SHA256, header webhook-signature)."""

    def wants(self, phase: str) -> bool:
        """Tell whether an end is to be told."""
        return not self.events or phase in self.events
