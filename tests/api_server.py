"""An API server as tests of the CRD use it: one connection, raw requests, and kubectl where people would use it."""

import base64
import contextlib
import functools
import http.client
import json
import ssl
import subprocess
import tempfile
import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from local_cluster.cluster import LocalCluster

NAMESPACE = "default"
JOBS = f"/apis/crawl-operator.io/v1alpha1/namespaces/{NAMESPACE}/crawljobs"
SCHEDULES = JOBS.replace("crawljobs", "scheduledcrawljobs")
SINGLE: dict[str, Any] = {"type": "Single", "single": {"url": "https://example.org/"}}
BATCH: dict[str, Any] = {"type": "Batch", "batch": {"urls": ["https://example.org/"]}}

Object = dict[str, Any]


class Answer(NamedTuple):
    """What the API server said."""

    status: int
    body: Object

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


@functools.cache
def _admin(cluster: LocalCluster) -> ssl.SSLContext:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
    context = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
    user = config["users"][0]["user"]
    with tempfile.NamedTemporaryFile(dir=cluster.state_dir) as pair:
        for part in ("client-certificate-data", "client-key-data"):
            pair.write(base64.b64decode(user[part]))
        pair.flush()
        context.load_cert_chain(pair.name)
    return context


def connection_to(cluster: LocalCluster) -> http.client.HTTPSConnection:
    """Return a connection of the administrator's, to be closed after use."""
    return http.client.HTTPSConnection(
        urllib.parse.urlsplit(cluster.server).netloc, context=_admin(cluster), timeout=20
    )


def read(cluster: LocalCluster, path: str) -> Object | None:
    """Read an object or a list; None where that fails. It costs a hundredth of what kubectl costs."""
    try:
        with contextlib.closing(connection_to(cluster)) as connection:
            connection.request("GET", path)
            with connection.getresponse() as response:
                body: Object = json.loads(response.read())
                return body if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None


class ApiServer:
    """Speaks to a cluster as its administrator."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self._connection = connection_to(cluster)

    def close(self) -> None:
        self._connection.close()

    def call(
        self, method: str, path: str, body: Object | None = None, content_type: str = "application/json"
    ) -> Answer:
        """Make a request; unknown fields are refused, as kubectl has it by default."""
        query = "?fieldValidation=Strict" if method in {"POST", "PUT", "PATCH"} else ""
        data = json.dumps(body) if body is not None else None
        self._connection.request(method, path + query, data, {"Content-Type": content_type})
        with self._connection.getresponse() as response:
            return Answer(response.status, json.loads(response.read()))

    def create(self, name: str, spec: Any, **more: Any) -> Answer:
        return self.call("POST", JOBS, manifest(name, spec) | more)

    def created(self, name: str, spec: Mapping[str, Any] = SINGLE) -> Object:
        """Create a job that is fine, and return it as it was answered."""
        answer = self.create(name, dict(spec))
        assert answer.status == 201, answer.message
        return answer.body

    def get(self, name: str) -> Object:
        answer = self.call("GET", f"{JOBS}/{name}")
        assert answer.status == 200, answer.message
        return answer.body

    def patch(self, name: str, body: Object, subresource: str = "") -> Answer:
        """Merge a patch into a job."""
        path = f"{JOBS}/{name}" + (f"/{subresource}" if subresource else "")
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def kubectl(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.cluster.kubectl(*arguments, **options)


def manifest(name: str, spec: Any) -> Object:
    return {
        "apiVersion": "crawl-operator.io/v1alpha1",
        "kind": "CrawlJob",
        "metadata": {"name": name},
        "spec": spec,
    }
