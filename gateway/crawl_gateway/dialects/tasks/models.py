"""What is sent to `/tasks` and its neighbours and what is answered; names as their clients have them."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from crawl_api.base import Time

_TASK: Final[JsonDict] = {"task_type": "batch_crawl", "parameters": {"urls": ["https://example.org/"]}, "priority": 7}


class Wire(BaseModel):
    """A piece of a request or an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)


class TaskCreate(Wire):
    """A task to be done."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TASK]})

    task_type: str
    """A registered type: see /schemas."""
    parameters: dict[str, Any]
    """By its schema; what is left out and has a default is filled in."""
    priority: Annotated[int, Field(ge=1, le=10)] = 5
    """1 to 10, larger is more urgent."""


class TaskResponse(Wire):
    """Where a task stands."""

    id: int
    task_type: str
    status: str
    """queued, claimed, completed, failed or cancelled."""
    created_at: Time
    claimed_by: str | None = None
    """The worker."""


class WorkerStatusResponse(Wire):
    """A worker."""

    worker_id: str
    last_heartbeat: Time
    tasks_processed: int
    """Those that have ended."""
    tasks_failed: int
    """Those of them that ended without success."""
    current_task_id: int | None = None


class ParameterDefinition(Wire):
    """One parameter of a task type."""

    name: str
    type: str
    """string, integer, float, boolean, enum, list or object."""
    required: bool
    description: str
    default: Any = None
    constraints: dict[str, Any]
    """`min_value`, `max_value`, `min_length`, `max_length`, `pattern`, `enum_values`, as far as there are any."""


class ParameterSchema(Wire):
    """What a task of a type is told."""

    task_type: str
    description: str
    parameters: list[ParameterDefinition]
    examples: list[dict[str, Any]]
    """Parameters of a task."""


class SchemaList(Wire):
    """All registered types."""

    schemas: list[ParameterSchema]


class TaskStatistics(Wire):
    """Numbers of the tasks that there are."""

    status_counts: dict[str, int]
    """By each status."""
    active_workers: int
    db_size_mb: float
    """Size of the stored jobs in MiB, roughly: as JSON. There is no database."""


class TaskErrors(Wire):
    """What is wrong with a task."""

    errors: list[str]


class BadTask(Wire):
    """The task was not stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"detail": {"errors": ["url: required"]}}]})

    detail: TaskErrors


class TaskError(Wire):
    """An error."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"detail": "Task not found"}]})

    detail: str
