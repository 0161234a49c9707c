"""A gateway and those who call it, for tests: namespaces, accounts with their tokens, and plain HTTP."""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2

from client_cluster import account
from local_cluster.cluster import LocalCluster
from local_cluster.gateway_process import GatewayProcess, prepare
from operator_process import Jobs, namespace, wait_until

__all__ = ["Gateway", "GatewayProcess", "Tenant", "gateway", "prepare", "single", "tenant"]

EVERYTHING = {
    "apiGroups": ["crawl-operator.io"],
    "resources": ["crawljobs", "crawljobs/results", "scheduledcrawljobs"],
    "verbs": ["get", "list", "watch", "create", "patch", "delete"],
}
READING = {**EVERYTHING, "verbs": ["get", "list", "watch"]}


@dataclass
class Tenant:
    """A namespace, and somebody who may do everything there and nothing elsewhere."""

    jobs: Jobs
    token: str
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.jobs.namespace

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "X-Namespace": self.name}


class Gateway:
    """What a client sees of a gateway: one connection pool, as some tenant or as nobody."""

    def __init__(self, process: GatewayProcess, tenant: Tenant | None = None, **headers: str) -> None:
        self.process = process
        own = tenant.headers if tenant else {}
        self.http = httpx2.Client(base_url=process.url, headers={**own, **headers}, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def call(self, method: str, path: str, status: int = 200, body: Any = None, **more: Any) -> Any:
        """Make a call that shall be answered with a status, and return its JSON."""
        answer = self.http.request(method, path, json=body, **more)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def get(self, path: str, status: int = 200, **params: Any) -> Any:
        return self.call("GET", path, status, params=params)

    def submit(self, name: str = "", status: int = 201, **spec: Any) -> Any:
        """Submit a job of one URL; it is suspended unless told otherwise."""
        body = single(name, **spec)
        return self.call("POST", "/v1/jobs", status, body)

    def listed(self, **params: Any) -> list[str]:
        """Return the names of a list, in its order."""
        return [item["metadata"]["name"] for item in self.get("/v1/jobs", **params)["items"]]

    def finished(self, name: str, seconds: float = 60) -> Any:
        """Wait for a job's end and return it."""
        ends = {"Completed", "PartialSuccess", "Failed", "DeadLetter", "Cancelled"}
        wait_until(lambda: self.get(f"/v1/jobs/{name}").get("status", {}).get("phase") in ends, f"{name} ends", seconds)
        return self.get(f"/v1/jobs/{name}")


def single(name: str = "", url: str = "https://example.org/", **spec: Any) -> dict[str, Any]:
    """Make the body of a job of one URL; it is suspended unless told otherwise."""
    made = {"type": "Single", "single": {"url": url}, "suspend": True, **spec}
    return {"metadata": {"name": name} if name else {}, "spec": made}


@contextlib.contextmanager
def tenant(cluster: LocalCluster, prefix: str, *rules: dict[str, Any]) -> Iterator[Tenant]:
    """Make a namespace and somebody with rights there; by default all on our kinds."""
    with namespace(cluster, f"{prefix}-{uuid.uuid4().hex[:8]}") as made:
        yield Tenant(made, account(cluster, made.namespace, "caller", *(rules or (EVERYTHING,))))


@contextlib.contextmanager
def gateway(cluster: LocalCluster, folder: Path, **settings: Any) -> Iterator[GatewayProcess]:
    """Run a gateway that serves the whole cluster."""
    prepare(cluster)
    with GatewayProcess(cluster, folder, **settings) as running:
        yield running
