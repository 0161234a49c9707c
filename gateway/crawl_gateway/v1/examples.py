"""What is sent to `/v1` and what it answers, for its documentation."""

from typing import Any, Final

from crawl_api.enums import Phase
from crawl_api.names import API_VERSION, KIND, SCHEDULE_KIND
from crawl_gateway.errors import Problem

Example = dict[str, Any]

NEW_JOB: Final[Example] = {
    "metadata": {"name": "front-page"},
    "spec": {"type": "Single", "single": {"url": "https://example.org/"}, "priority": "High"},
}
NEW_SCHEDULE: Final[Example] = {
    "metadata": {"name": "every-night"},
    "spec": {"schedule": "0 2 * * *", "timeZone": "Europe/Berlin", "jobTemplate": {"spec": NEW_JOB["spec"]}},
}
GRAPH: Final[Example] = {
    "items": [NEW_JOB, {"metadata": {"name": "next"}, "spec": NEW_JOB["spec"]}],
    "edges": [{"job": "next", "after": "front-page", "condition": "Finished"}],
}
WEBHOOK: Final[Example] = {
    "url": "https://example.org/hooks/crawls",
    "events": ["Failed", "DeadLetter"],
    "secretRef": {"name": "hooks"},
}


def _metadata(name: str, uid: str) -> Example:
    return {
        "name": name,
        "namespace": "team-a",
        "uid": uid,
        "resourceVersion": "48213",
        "creationTimestamp": "2026-03-01T10:00:00Z",
    }


JOB: Final[Example] = {
    "apiVersion": API_VERSION,
    "kind": KIND,
    "metadata": _metadata("front-page", "0f8fad5b-d9cb-469f-a165-70867728950e"),
    "spec": NEW_JOB["spec"],
    "status": {
        "phase": "Completed",
        "observedGeneration": 1,
        "progress": {"percent": 100, "summary": "100%", "total": 1, "succeeded": 1},
        "workerId": "front-page-1",
        "submittedAt": "2026-03-01T10:00:00.123456Z",
        "updatedAt": "2026-03-01T10:00:03.5Z",
        "startedAt": "2026-03-01T10:00:01.25Z",
        "completedAt": "2026-03-01T10:00:03.25Z",
        "processingTimeMs": 2000,
        "duration": "2s",
    },
}
JOBS: Final[Example] = {"items": [JOB], "total": 1, "cursor": "", "resourceVersion": "48213"}
SCHEDULE: Final[Example] = {
    "apiVersion": API_VERSION,
    "kind": SCHEDULE_KIND,
    "metadata": _metadata("every-night", "7c9e6679-7425-40de-944b-e07fc1f90ae7"),
    "spec": NEW_SCHEDULE["spec"],
    "status": {
        "lastRun": "every-night-29540220",
        "lastExecutedAt": "2026-03-01T01:00:00Z",
        "nextExecutionAt": "2026-03-02T01:00:00Z",
        "executionCount": 17,
    },
}
OUTCOME: Final[Example] = {
    "done": [JOB],
    "failed": [
        {
            "index": 1,
            "name": "next",
            "error": {"code": "AlreadyExists", "message": 'crawljobs "next" already exists', "requestId": ""},
        }
    ],
}
REASON: Final[Example] = {
    "name": "front-page",
    "phase": "Pending",
    "reason": "AwaitingCapacity",
    "message": "all 4 places are taken",
    "help": "wait, or raise the limit",
    "position": 2,
    "servedHigherInSeconds": 280.5,
    "text": "front-page waits: all 4 places are taken (AwaitingCapacity), 2nd in line.",
}
NEXT_RUNS: Final[Example] = {"items": ["2026-03-02T01:00:00Z", "2026-03-03T01:00:00Z"]}
TRIGGERED: Final[Example] = {"trigger": "2026-03-01T10:00:00Z-x7k2p9qd"}
RESULT: Final[Example] = {
    "job": "front-page",
    "success": True,
    "namespace": "team-a",
    "items": 1,
    "bytes": 512,
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "data": [{"url": "https://example.org/", "status": 200, "title": "Example"}],
    "error": "",
    "processingTimeMs": 1500,
    "workerId": "front-page-1",
    "completedAt": "2026-03-01T10:00:03.25Z",
    "url": "file:///var/lib/crawl-operator/team-a/front-page/front-page.jsonl.gz",
}
_OF_A_TYPE: Final[Example] = {"submitted": 12, "completed": 10, "failed": 1, "deadLetter": 1}
STATISTICS: Final[Example] = {
    "timestamp": "2026-03-01T10:00:05Z",
    "jobs": {
        "total": 12,
        "byPhase": dict.fromkeys(Phase, 0) | {Phase.COMPLETED: 10, Phase.FAILED: 1, Phase.DEAD_LETTER: 1},
        "byType": {"Single": _OF_A_TYPE},
        "retried": 3,
        "deadLetter": 1,
        "successRate": 83.33,
    },
    "queues": {each: {"waiting": 0, "running": 0} for each in ("Critical", "High", "Normal", "Low")},
    "workers": {
        "active": 0,
        "items": [
            {
                "workerId": "front-page-1",
                "lastSeen": "2026-03-01T10:00:03.5Z",
                "processed": 1,
                "failed": 0,
                "job": None,
                "namespace": None,
            }
        ],
    },
    "processingMs": {"average": 1900.0, "p50": 1800, "p95": 2900, "p99": 3100, "sample": 12},
    "finished": {"minute": 1, "hour": 6, "day": 12},
    "storedBytes": 30720,
    "oldestUnseenSeconds": 0.0,
}
WEBHOOKS: Final[Example] = {
    "items": [
        {
            "id": "5f2b8c1e9a7d",
            **WEBHOOK,
            "delivery": {"state": "Delivered", "tries": 1, "at": "2026-03-01T10:00:04Z", "error": ""},
        }
    ]
}
ROW: Final[Example] = {
    "namespace": "team-a",
    "name": "front-page",
    "uid": JOB["metadata"]["uid"],
    "displayName": "front-page",
    "type": "Single",
    "priority": "High",
    "phase": "Completed",
    "percent": 100,
    "succeeded": 1,
    "failed": 0,
    "retries": 0,
    "worker": "front-page-1",
    "createdAt": "2026-03-01T10:00:00Z",
    "startedAt": "2026-03-01T10:00:01.25Z",
    "completedAt": "2026-03-01T10:00:03.25Z",
    "processingTimeMs": 2000,
    "lastError": "",
    "resultURL": RESULT["url"],
}

PROBLEMS: Final[dict[int, tuple[str, Problem]]] = {
    problem.status: (meaning, problem)
    for meaning, problem in (
        (
            "The request cannot be understood.",
            Problem(400, "BadRequest", "the body is not JSON: EOF while parsing a value at line 1 column 0"),
        ),
        (
            "The token is missing, unknown, expired, or not meant for here.",
            Problem(401, "Unauthorized", "a Kubernetes token is needed: Authorization: Bearer …"),
        ),
        (
            "The caller may not do that there.",
            Problem(
                403,
                "Forbidden",
                "system:serviceaccount:team-a:reports may not create crawljobs.crawl-operator.io in namespace team-b",
            ),
        ),
        (
            "There is no such object, as far as the caller may know.",
            Problem(404, "NotFound", 'crawljobs "front-page" not found'),
        ),
        (
            "It exists already, or its state forbids it.",
            Problem(409, "AlreadyExists", 'crawljobs "front-page" already exists'),
        ),
        (
            "It has changed since.",
            Problem(412, "PreconditionFailed", "front-page has changed since version 48213"),
        ),
        ("The body is too large.", Problem(413, "PayloadTooLarge", "the request is too large")),
        (
            "What was sent is invalid; `details` says all that is wrong.",
            Problem(422, "Invalid", "spec.single.url: Required value", details=("spec.single.url: Required value",)),
        ),
        (
            "Too many requests, or a quota is used up; `Retry-After` says for how long to wait.",
            Problem(429, "TooManyRequests", "more than 100 requests per second", retry_after=1),
        ),
        (
            "The Kubernetes API does not answer, or the gateway has just started.",
            Problem(503, "ServiceUnavailable", "the Kubernetes API does not answer", retry_after=2),
        ),
    )
}
"""By its status what an error means, and one such."""
