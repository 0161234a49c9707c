"""Worker pods: which there are, what they do, and what they log."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from crawl_api.names import LABEL_ATTEMPT, LABEL_JOB, LABEL_JOB_UID, WORKER_CONTAINER
from crawl_client.answers import Outcome
from crawl_client.bulk import for_each
from crawl_client.errors import NotFoundError
from crawl_client.jobs import Jobs
from crawl_client.transport import Transport

_PAGE: Final = "500"


@dataclass(frozen=True)
class Worker:
    """A worker pod."""

    name: str
    namespace: str
    job: str
    """The job that it works for."""
    attempt: int
    phase: str
    """The pod's: Pending, Running, Succeeded, Failed."""
    ready: bool
    """Whether its container runs and is well."""
    restarts: int
    node: str
    created: datetime

    @classmethod
    def from_dict(cls, pod: Mapping[str, Any]) -> "Worker":
        """Make it from a pod."""
        metadata, status = pod["metadata"], pod.get("status", {})
        containers = status.get("containerStatuses") or ()
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            job=metadata["labels"].get(LABEL_JOB, ""),
            attempt=int(metadata["labels"].get(LABEL_ATTEMPT, 0)),
            phase=status.get("phase", "Pending"),
            ready=bool(containers) and all(each.get("ready") for each in containers),
            restarts=sum(each.get("restartCount", 0) for each in containers),
            node=pod.get("spec", {}).get("nodeName", ""),
            created=datetime.fromisoformat(metadata["creationTimestamp"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return its members by name."""
        return asdict(self)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.phase in {"Pending", "Running"}


class Workers:
    """Worker pods, as `client.workers`."""

    def __init__(self, transport: Transport, jobs: Jobs) -> None:
        self._transport = transport
        self._jobs = jobs

    async def iterate(self, namespace: str | None = None, *, job_uid: str = "") -> AsyncIterator[Worker]:
        """Yield worker pods, those that have ended and are still there too; of one job, if its UID is given."""
        chosen = self._transport.login.namespace if namespace is None else namespace
        path = f"/api/v1/namespaces/{quote(chosen, safe='')}/pods" if chosen else "/api/v1/pods"
        params = {"limit": _PAGE, "labelSelector": f"{LABEL_JOB_UID}={job_uid}" if job_uid else LABEL_JOB_UID}
        while True:
            answer = await self._transport.call("GET", path, params=params)
            for pod in answer.get("items") or ():
                yield Worker.from_dict(pod)
            params["continue"] = answer["metadata"].get("continue", "")
            if not params["continue"]:
                return

    async def list(self, namespace: str | None = None) -> list[Worker]:
        """Return all worker pods, the newest first."""
        found = [worker async for worker in self.iterate(namespace)]
        return sorted(found, key=lambda worker: worker.created, reverse=True)

    async def logs(
        self, name: str, namespace: str | None = None, *, tail: int | None = None, follow: bool = False
    ) -> AsyncIterator[str]:
        """Yield the lines that the last worker of a job has logged.

        Args:
            name: the job.
            namespace: the job's.
            tail: so many of the last lines; None for all.
            follow: go on until the worker ends.

        Raises:
            NotFoundError: there is no such job, or its worker is gone.
        """
        job = await self._jobs.get(name, namespace)
        pods = [worker async for worker in self.iterate(job.namespace, job_uid=job.uid)]
        if not pods:
            raise NotFoundError(f"{job.name} has no worker pod whose log could be read; it is {job.phase}", 404)
        pod = max(pods, key=lambda worker: (worker.attempt, worker.created))
        params = {"container": WORKER_CONTAINER} | ({"tailLines": str(tail)} if tail is not None else {})
        params |= {"follow": "true"} if follow else {}
        path = f"/api/v1/namespaces/{quote(pod.namespace, safe='')}/pods/{quote(pod.name, safe='')}/log"
        async with self._transport.stream(path, params, silence=3600 if follow else None) as response:
            async for line in response.aiter_lines():
                yield line

    async def restart(self, namespace: str | None = None, *, failed: bool = False) -> Outcome[Worker]:
        """Delete worker pods that have not ended: their jobs go on in new ones, without using up an attempt.

        Args:
            namespace: whose.
            failed: only those that are not well: not ready, or their container was restarted.
        """
        chosen = [
            worker
            async for worker in self.iterate(namespace)
            if worker.alive and (not failed or not worker.ready or worker.restarts)
        ]

        async def delete(worker: Worker) -> Worker:
            path = f"/api/v1/namespaces/{quote(worker.namespace, safe='')}/pods/{quote(worker.name, safe='')}"
            await self._transport.call("DELETE", path)
            return worker

        return await for_each(chosen, delete, name=lambda worker: worker.name)
