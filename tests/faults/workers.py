"""What workers say: progress, results, outcomes."""

import hashlib
from datetime import UTC, datetime
from typing import Final

from steps import Hand, Step, child_of, runs_now
from world import Picture, attempt_of, job_uid

from crawl_api.names import TOKEN_AUDIENCE
from crawl_api.status import Cause, JobError
from crawl_api.worker_protocol import (
    AttemptFailure,
    Outcome,
    ProgressReport,
    StoredResult,
    outcome_path,
    progress_path,
    results_path,
)
from crawl_operator.kube import PODS

INTERVAL: Final = 2.0
"""Seconds between two progress writes of one job."""

_RECORDS: Final = b'{"url": "https://example.org/1"}\n'
_THEN: Final = datetime(2026, 1, 1, tzinfo=UTC)

REFUSAL: Final = AttemptFailure(code="RobotsDisallowed", cause=Cause.PERMANENT, message="robots.txt forbids it")
SILENCE: Final = AttemptFailure(code="Timeout", cause=Cause.TRANSIENT, message="the site does not answer")
STOPPED: Final = AttemptFailure(code="Interrupted", cause=Cause.INFRASTRUCTURE, message="told to stop")


def outcome(
    succeeded: int, total: int = 2, failure: AttemptFailure | None = None, *, retryable: bool = False
) -> Outcome:
    """Make what a worker leaves behind; `retryable` says whether another attempt could bring the pages that failed."""
    errors = tuple(
        JobError(
            code="HTTP_503" if retryable else "HTTP_404",
            message=f"answered {503 if retryable else 404}",
            url=f"https://example.org/{number}",
            retryable=retryable,
            time=_THEN,
        )
        for number in range(succeeded, total)
    )
    return Outcome(
        total=total,
        succeeded=succeeded,
        failed=total - succeeded,
        bytes=1000 * succeeded,
        errors=errors,
        error_count=len(errors),
        retryable=len(errors) if retryable else 0,
        failure=failure,
        items=succeeded,
    )


def reports(name: str, succeeded: int, failed: int = 0, *, total: int = 2) -> Step:
    """The worker reports its progress until the job's status shows it: it repeats itself from time to time."""
    report = ProgressReport(total=total, succeeded=succeeded, failed=failed, bytes=1000 * succeeded)

    async def do(hand: Hand) -> None:
        uid, attempt, token = await _who(hand, name)
        body = report.model_dump_json(by_alias=True).encode()

        def shown(now: Picture) -> bool:
            job = now.job(name)
            return job is None or job.get("status", {}).get("progress", {}).get("succeeded") == succeeded

        while not shown(hand.world.now):
            hand.pass_time(INTERVAL)
            status, _ = await hand.report("POST", progress_path(uid, attempt), token, body)
            if status == 410:
                return
            assert status == 204
            await hand.rest()
            if not shown(hand.world.now):
                await hand.go_on()

    return Step(f"the worker of {name} reports {succeeded} pages", do, lambda now: runs_now(now, name))


def stores(name: str, said: Outcome) -> Step:
    """The worker uploads its records and its outcome."""

    async def do(hand: Hand) -> None:
        uid, attempt, token = await _who(hand, name)
        status, text = await hand.report("PUT", results_path(uid, attempt), token, _RECORDS)
        assert status == 201
        stored = StoredResult.model_validate_json(text)
        assert stored.sha256 == hashlib.sha256(_RECORDS).hexdigest()
        body = said.model_copy(update={"stored": stored, "data": [{"url": "https://example.org/1"}]})
        status, _ = await hand.report("PUT", outcome_path(uid, attempt), token, body.model_dump_json().encode())
        assert status == 204

    return Step(f"the worker of {name} stores its result", do, lambda now: runs_now(now, name))


async def _who(hand: Hand, name: str) -> tuple[str, int, str]:
    """Return UID and attempt of a job, and a token of its pod."""
    pod = child_of(hand, PODS, name)
    meta = pod["metadata"]
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": [TOKEN_AUDIENCE],
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]},
        },
    }
    path = f"/api/v1/namespaces/{hand.world.namespace}/serviceaccounts/default/token"
    token: str = (await hand.stage.call("POST", path, request))["status"]["token"]
    return job_uid(pod), attempt_of(pod), token
