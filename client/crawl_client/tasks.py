"""Tasks of a gateway, as `/tasks` and its neighbours tell them, for programs that want answers and no exceptions."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx2

from crawl_client.errors import JobFailedError, TimeoutError  # noqa: A004 - the name that clients of such APIs expect

_FAILED: Final = frozenset({"failed", "cancelled"})


@dataclass(frozen=True)
class APIResponse:
    """What came of a call."""

    success: bool
    data: Any = None
    """The answer's JSON; None where there is none."""
    error: str | None = None
    """Why it did not succeed."""


@dataclass(frozen=True)
class Batch:
    """What came of creating many tasks."""

    created: tuple[Mapping[str, Any], ...]
    failed: tuple[Mapping[str, Any], ...]
    """Each as `task`, which was to be created, and `error`."""


class TaskClient:
    """A gateway's tasks. No call raises: each returns whether it went well; `wait_for_task` alone does.

    Example::

        with TaskClient("http://localhost:8080", token=token) as client:
            made = client.create_task("single_crawl", {"url": "https://example.org/"}, priority=7)
            if made.success:
                print(client.wait_for_task(made.data["id"]))

    Args:
        base_url: where the gateway is.
        token: a Kubernetes token.
        namespace: whose tasks; the gateway's default where none is named.
        timeout: seconds for one call.
    """

    def __init__(
        self, base_url: str = "http://localhost:8000", *, token: str = "", namespace: str = "", timeout: float = 10
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if namespace:
            headers["X-Namespace"] = namespace
        self._http = httpx2.Client(base_url=base_url, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def login(self, email: str, password: str) -> APIResponse:
        """Exchange a password for a token, which later calls carry; the gateway must be set up for it."""
        answer = self._call("POST", "/v1/login", json={"email": email, "password": password})
        if answer.success:
            self._http.headers["Authorization"] = f"Bearer {answer.data['access_token']}"
        return answer

    def create_task(self, task_type: str, parameters: Mapping[str, Any], priority: int = 5) -> APIResponse:
        """Create a task; the error of a wrong one joins all that is wrong with it."""
        body = {"task_type": task_type, "parameters": dict(parameters), "priority": priority}
        return self._call("POST", "/tasks", 201, json=body)

    def list_tasks(self, status: str | None = None, limit: int = 100) -> APIResponse:
        """List tasks, the newest first."""
        params = {"limit": str(limit)} | ({"status": status} if status is not None else {})
        return self._call("GET", "/tasks", params=params)

    def get_task(self, task_id: int) -> APIResponse:
        """Read a task."""
        return self._call("GET", f"/tasks/{task_id}", missing=f"Task {task_id} not found")

    def cancel_task(self, task_id: int) -> APIResponse:
        """Cancel a task that has not ended."""
        missing = f"Task {task_id} not found or cannot be cancelled"
        return self._call("DELETE", f"/tasks/{task_id}", 204, missing=missing)

    def list_workers(self) -> APIResponse:
        """List workers, the newest heartbeat first."""
        return self._call("GET", "/workers")

    def get_statistics(self) -> APIResponse:
        """Count tasks and workers."""
        return self._call("GET", "/statistics")

    def list_schemas(self) -> APIResponse:
        """List the types of tasks."""
        return self._call("GET", "/schemas")

    def get_schema(self, task_type: str) -> APIResponse:
        """Say what tasks of a type are told."""
        return self._call("GET", f"/schemas/{quote(task_type, safe='')}", missing=f"Schema {task_type} not found")

    def wait_for_task(self, task_id: int, timeout: float = 300, poll: float = 5) -> dict[str, Any] | None:
        """Wait until a task has completed.

        Args:
            task_id: which.
            timeout: seconds.
            poll: seconds between two looks.

        Returns:
            The task; None if it could not be looked at.

        Raises:
            JobFailedError: it failed, or was cancelled.
            TimeoutError: it took longer.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = self.get_task(task_id)
            if not found.success:
                return None
            task: dict[str, Any] = found.data
            if task["status"] == "completed":
                return task
            if task["status"] in _FAILED:
                raise JobFailedError(f"task {task_id} ended as {task['status']}", task["status"])
            if time.monotonic() + poll > deadline:
                raise TimeoutError(f"task {task_id} is {task['status']} after {timeout:g} s")
            time.sleep(poll)

    def create_tasks(self, tasks: Iterable[Mapping[str, Any]]) -> Batch:
        """Create many tasks, each with `type`, `params` and perhaps `priority`; one that is wrong stops no other."""
        created, failed = list[Mapping[str, Any]](), list[Mapping[str, Any]]()
        for task in tasks:
            made = self.create_task(task.get("type", ""), task.get("params") or {}, task.get("priority", 5))
            if made.success:
                created.append(made.data)
            else:
                failed.append({"task": task, "error": made.error})
        return Batch(tuple(created), tuple(failed))

    def _call(self, method: str, path: str, good: int = 200, *, missing: str = "", **more: Any) -> APIResponse:
        try:
            answer = self._http.request(method, path, **more)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return APIResponse(False, error=str(error) or type(error).__name__)  # noqa: FBT003 - it is named success
        if answer.status_code == good:
            return APIResponse(True, answer.json() if answer.content else None)  # noqa: FBT003 - same
        return APIResponse(False, error=_error(answer, missing))  # noqa: FBT003 - same


def _error(answer: httpx2.Response, missing: str) -> str:
    if answer.status_code == 404 and missing:
        return missing
    if answer.status_code == 400:
        try:
            detail = answer.json()["detail"]
            return "; ".join(detail["errors"]) if isinstance(detail, dict) else str(detail)
        except (ValueError, KeyError, TypeError):
            pass
    return f"HTTP {answer.status_code}: {answer.text}"
