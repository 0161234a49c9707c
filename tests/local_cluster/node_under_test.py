"""A node that tests can end and start again, and the few requests they make of its API server."""

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from local_cluster import Image, LocalCluster
from local_cluster.components import NODE
from local_cluster.processes import MARK

PATH = "/usr/local/bin:/usr/bin:/bin"
IMAGES = {
    "host": Image(env={"PATH": PATH}),
    "greeter": Image(entrypoint=["sh", "-c", 'echo "$GREETING $0"'], command=["world"], env={"GREETING": "hello"}),
}
WAIT_SECONDS = 20.0

Json = dict[str, Any]
T = TypeVar("T")


class ApiError(Exception):
    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status}: {body.get('message')}")
        self.status = status


@dataclass
class Node:
    """The node under test, its cluster, and the few requests tests make."""

    cluster: LocalCluster
    name: str = f"n-{uuid.uuid4().hex[:6]}"
    process: subprocess.Popen[bytes] | None = None
    _pods: list[str] = field(default_factory=list)

    def start(self) -> None:
        with (self.cluster.state_dir / "logs" / "node-under-test.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.cluster.blueprint.command(NODE), "--backoff-base=0.3", "--backoff-limit=2"],
                stdout=log,
                stderr=log,
                env=os.environ | {MARK: str(self.cluster.state_dir)},
            )
        path = f"/api/v1/nodes/{self.cluster.blueprint.node_name}"
        eventually(lambda: self._listens(self.get(path)))

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)

    def log(self) -> str:
        return (self.cluster.state_dir / "logs" / "node-under-test.log").read_text()

    def request(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        who = self.cluster.blueprint.identities
        tls = ssl.create_default_context(cafile=who.authority.certificate)
        tls.load_cert_chain(who.admin.certificate, who.admin.key)
        host = self.cluster.server.removeprefix("https://")
        connection = http.client.HTTPSConnection(host, timeout=WAIT_SECONDS, context=tls)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": kind})
            answer = connection.getresponse()
            content: Json = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status >= 400:
            raise ApiError(answer.status, content)
        return content

    def get(self, path: str) -> Json:
        return self.request("GET", path)

    def pod(self, name: str) -> Json | None:
        """The pod as the API server has it, None when it has not."""
        try:
            return self.get(f"/api/v1/namespaces/default/pods/{name}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def run(self, *containers: Json | str, **spec: Any) -> str:
        """Create a pod and name it; a container given as text is a script of `sh`."""
        name = f"p-{uuid.uuid4().hex[:8]}"
        metadata = spec.pop("metadata", {})
        listed = [
            {"name": f"c{index}", **(shell(container) if isinstance(container, str) else container)}
            for index, container in enumerate(containers)
        ]
        pod_spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 2, "containers": listed, **spec}
        self.create("pods", {"metadata": {**metadata, "name": name}, "spec": pod_spec})
        self._pods.append(name)
        return name

    def create(self, kind: str, body: Json) -> Json:
        return self.request("POST", f"/api/v1/namespaces/default/{kind}", body)

    def patch(self, path: str, body: Json) -> Json:
        return self.request("PATCH", f"/api/v1/namespaces/default/{path}", body, "application/merge-patch+json")

    def delete(self, name: str, grace: int | None = None) -> None:
        body = {} if grace is None else {"gracePeriodSeconds": grace}
        with contextlib.suppress(ApiError):
            self.request("DELETE", f"/api/v1/namespaces/default/pods/{name}", body)

    def until(self, name: str, holds: Callable[[Json], object], seconds: float = WAIT_SECONDS) -> Json:
        """The pod as soon as `holds` is true of it."""

        def look() -> Json | None:
            pod = self.pod(name)
            assert pod is not None, f"{name} is gone"
            with contextlib.suppress(KeyError, IndexError):
                return pod if holds(pod) else None
            return None

        return eventually(look, seconds, lambda: json.dumps((self.pod(name) or {}).get("status"), indent=1))

    def until_phase(self, name: str, phase: str) -> Json:
        return self.until(name, lambda pod: pod["status"]["phase"] == phase)

    def until_gone(self, name: str, seconds: float = WAIT_SECONDS) -> None:
        eventually(lambda: self.pod(name) is None, seconds)

    def logs(self, name: str, *options: str) -> str:
        return self.cluster.kubectl("logs", name, *options).stdout

    def until_says(self, name: str, text: str) -> None:
        """Wait until this is what a pod has logged; until its container runs there is no log to be had."""
        eventually(lambda: self.cluster.kubectl("logs", name, check=False).stdout == text)

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of every event about the pod."""
        found = self.get(f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.name={name}")
        return [(event["reason"], event["message"]) for event in found["items"]]

    def until_event(self, name: str, reason: str) -> str:
        return eventually(lambda: next((text for why, text in self.events(name) if why == reason), None))

    def clear(self) -> None:
        """Delete the pods of the test that has ended; the node gets on with it while the next one begins."""
        for name in self._pods:
            self.delete(name, 0)
        self._pods.clear()

    def processes(self, name: str, text: str) -> list[psutil.Process]:
        """Living processes whose command line has the text and whose environment names the pod."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if text in " ".join(process.cmdline()) and process.environ().get("HOSTNAME") == name:
                    found.append(process)
        return [process for process in found if _lives(process)]

    def home(self, name: str, text: str) -> Path:
        """Where the container whose command line has the text finds what a test puts there: its `~`."""
        return Path(self.processes(name, text)[0].environ()["HOME"])

    def _listens(self, node: Json) -> bool:
        port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        assert self.process is not None
        own = psutil.Process(self.process.pid).net_connections("tcp")
        return any(connection.status == psutil.CONN_LISTEN and connection.laddr.port == port for connection in own)


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):  # it may end between two questions
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def shell(script: str) -> Json:
    return {"image": "host", "command": ["sh", "-c", script]}


def eventually(look: Callable[[], T | None], seconds: float = WAIT_SECONDS, told: Callable[[], str] = str) -> T:
    """What `look` returns as soon as it is true; connection errors and missing objects mean: not yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ApiError, OSError, http.client.HTTPException):
            if found := look():
                return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s; last: {told()}")
