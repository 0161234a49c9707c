"""What `/workers/…` answers, for its documentation."""

from typing import Any, Final

_ID: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"
_RUN: Final[dict[str, Any]] = {
    "created_at": "2026-03-01T10:00:00.123456Z",
    "started_at": "2026-03-01T10:00:01.500000Z",
    "completed_at": "2026-03-01T10:00:03Z",
    "worker_id": "batch-x7k2p9qd-1",
    "retry_count": 0,
}

SUBMITTED: Final[dict[str, Any]] = {
    "job_id": _ID,
    "status": "submitted",
    "submitted_at": "2026-03-01T10:00:00.123456Z",
    "message": "Job submitted successfully",
}
STATE: Final[dict[str, Any]] = {
    "job_id": _ID,
    "status": "Completed",
    **_RUN,
    "last_error": None,
    "processing_time_ms": 1500,
    "metadata": {"ticket": 7},
    "next_retry_at": None,
    "progress": 100,
}
LIST: Final[dict[str, Any]] = {
    "jobs": [{"job_id": _ID, "job_type": "batch_crawl", "status": "Completed", "priority": "High", **_RUN}],
    "total": 1,
    "limit": 50,
    "offset": 0,
}
RESULT: Final[dict[str, Any]] = {
    "job_id": _ID,
    "success": True,
    "data": {
        "total_urls": 2,
        "successful": 2,
        "failed": 0,
        "from_cache": 0,
        "results": [{"url": "https://example.org/", "status": 200, "title": "Example"}],
        "result_url": "s3://crawls/team-a/batch-x7k2p9qd/results.jsonl",
    },
    "error": None,
    "processing_time_ms": 1500,
    "worker_id": "batch-x7k2p9qd-1",
    "completed_at": "2026-03-01T10:00:03Z",
}
QUEUE: Final[dict[str, Any]] = {
    "pending": 12,
    "processing": 4,
    "completed": 230,
    "failed": 3,
    "retry": 1,
    "delayed": 2,
    "total": 252,
    "dead_letter": 1,
}
POOL: Final[dict[str, Any]] = {
    "total_workers": 4,
    "healthy_workers": 4,
    "total_jobs_processed": 233,
    "total_jobs_failed": 3,
    "is_running": True,
}
METRICS: Final[dict[str, Any]] = {
    "jobs_submitted": 252,
    "jobs_completed": 230,
    "jobs_failed": 3,
    "jobs_retried": 5,
    "jobs_dead_letter": 1,
    "avg_processing_time_ms": 1830.4,
    "p50_processing_time_ms": 1500,
    "p95_processing_time_ms": 4210,
    "p99_processing_time_ms": 9800,
    "success_rate": 91.27,
    "jobs_by_type": {"batch_crawl": 200, "single_crawl": 52},
    "queue_sizes": {name: number for name, number in QUEUE.items() if name != "total"},
    "timestamp": "2026-03-01T10:05:00Z",
}
SCHEDULE: Final[dict[str, Any]] = {
    "id": _ID,
    "name": "daily_crawl",
    "cron_expression": "0 2 * * *",
    "enabled": True,
    "priority": "Normal",
    "created_at": "2026-03-01T10:00:00Z",
    "last_executed_at": None,
    "next_execution_at": "2026-03-02T02:00:00Z",
    "execution_count": 0,
}
