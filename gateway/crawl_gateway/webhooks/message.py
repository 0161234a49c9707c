"""What a webhook is told, and how it is signed: as the Standard Webhooks specification has it."""

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Any, Final

from pydantic_core import to_json

from crawl_client.models import Job
from crawl_gateway.ids import job_id
from crawl_gateway.webhooks.ledger import end_of

PREFIX: Final = "whsec_"
"""What keys that are told as base64 begin with."""
_AGENT: Final = "crawl-gateway"


def body(job: Job) -> bytes:
    """Return the message about the end of a job."""
    status: dict[str, Any] = job.raw.get("status") or {}
    data = {
        "namespace": job.namespace,
        "name": job.name,
        "uid": job.uid,
        "jobId": job_id(job.uid),
        "displayName": job.display_name,
        "type": job.type,
        "priority": job.priority,
        "phase": job.phase,
        "progress": job.progress,
        "retryCount": job.retries,
        "submittedAt": status.get("submittedAt"),
        "startedAt": status.get("startedAt"),
        "completedAt": status.get("completedAt"),
        "processingTimeMs": status.get("processingTimeMs"),
        "lastError": job.last_error or None,
        "resultURL": job.result_url or None,
        "metadata": job.raw["spec"].get("metadata") or {},
    }
    return to_json({"type": f"crawljob.{job.phase}", "timestamp": status.get("completedAt"), "data": data})


def headers(job: Job, hook_id: str, content: bytes, key: bytes | None, now: datetime) -> dict[str, str]:
    """Return the headers of a message: the id stays the same however often it is sent."""
    digest = hashlib.sha256(f"{job.uid} {end_of(job)} {hook_id}".encode()).hexdigest()[:32]
    said = {
        "content-type": "application/json",
        "user-agent": _AGENT,
        "webhook-id": f"msg_{digest}",
        "webhook-timestamp": str(int(now.timestamp())),
    }
    if key is not None:
        signed = f"{said['webhook-id']}.{said['webhook-timestamp']}.".encode() + content
        said["webhook-signature"] = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return said


def key_of(text: bytes) -> bytes:
    """Return the key that a Secret holds: as it is, or in base64 after `whsec_`.

    Raises:
        ValueError: what follows that is no base64, or there is nothing.
    """
    stripped = text.strip()
    key = (
        base64.b64decode(stripped.removeprefix(PREFIX.encode()), validate=True)
        if stripped.startswith(PREFIX.encode())
        else stripped
    )
    if not key:
        raise ValueError("the key is empty")
    return key
