"""What `/tasks` and its neighbours answer, for their documentation."""

from typing import Any, Final

TASK: Final[dict[str, Any]] = {
    "id": 1742,
    "task_type": "batch_crawl",
    "status": "claimed",
    "created_at": "2026-03-01T10:00:00.123456Z",
    "claimed_by": "batch-x7k2p9qd-1",
}
WORKER: Final[dict[str, Any]] = {
    "worker_id": "batch-x7k2p9qd-1",
    "last_heartbeat": "2026-03-01T10:00:02Z",
    "tasks_processed": 0,
    "tasks_failed": 0,
    "current_task_id": 1742,
}
SCHEMA: Final[dict[str, Any]] = {
    "task_type": "keyword_search",
    "description": "Tell what a search finds.",
    "parameters": [
        {
            "name": "query",
            "type": "string",
            "required": True,
            "description": "What to look for.",
            "default": None,
            "constraints": {"min_length": 1, "max_length": 200},
        }
    ],
    "examples": [{"query": "steel ruler"}],
}
STATISTICS: Final[dict[str, Any]] = {
    "status_counts": {"queued": 45, "claimed": 5, "completed": 1234, "failed": 23, "cancelled": 0},
    "active_workers": 3,
    "db_size_mb": 125.5,
}
