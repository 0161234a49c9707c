"""What `/jobs` answers, for its documentation."""

from typing import Any, Final

_ID: Final = "job_0f8fad5bd9cb469fa16570867728950e"

ENQUEUED: Final[dict[str, Any]] = {
    "job_id": _ID,
    "status": "QUEUED",
    "created_at": "2026-03-01T10:00:00.123456Z",
}
STATE: Final[dict[str, Any]] = {
    "job_id": _ID,
    "type": "bulk_import",
    "status": "RUNNING",
    "progress": 45,
    "result_url": None,
    "errors": None,
    "created_at": "2026-03-01T10:00:00.123456Z",
    "updated_at": "2026-03-01T10:00:02Z",
    "started_at": "2026-03-01T10:00:01.500000Z",
    "completed_at": None,
}
