"""The operator as a real process against a real API server, with the rights that `operator/rbac.yaml` gives it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlparse

import yaml

from local_cluster.cluster import LocalCluster

ROOT = Path(__file__).resolve().parent.parent

WORKER_IMAGE = "crawl-worker:local"


class OperatorProcess:
    """An operator; `with` starts and ends it. It may be killed and started again in between."""

    def __init__(
        self, cluster: LocalCluster, folder: Path, *, server: str | None = None, ready: bool = True, **settings: Any
    ) -> None:
        """Describe an operator; `server` leads it past a proxy, `ready` waits for its readiness at the start."""
        self.folder = folder
        self._ready = ready
        self.log_file = folder / "operator.log"
        self.port, self.health_port = free_port(), free_port()
        self._environment = os.environ | {"KUBECONFIG": str(_kubeconfig(cluster, folder, server or cluster.server))}
        defaults: dict[str, Any] = {
            "logging": "debug",
            "endpoint": {"host": "127.0.0.1", "port": self.port, "url": self.url},
            "health": {"host": "127.0.0.1", "port": self.health_port},
            "worker": {"image": WORKER_IMAGE, "allowedNetworks": ["127.0.0.0/8"]},
            "results": {"folder": str(folder / "results")},
            "reconcile": {"progressIntervalSeconds": 0.2},
        }
        for group, values in settings.items():
            defaults[group] = {**defaults.get(group, {}), **values} if isinstance(values, dict) else values
        self._config = folder / "operator.yaml"
        self._config.write_text(yaml.safe_dump(defaults))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where workers report to."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error::RuntimeWarning", "-m", "crawl_operator", "--config", self._config],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        probe = "readyz" if self._ready else "healthz"
        wait_until(lambda: self.health(probe)[0] == 200, "the operator is ready", 20)

    def stop(self) -> int:
        """End it as Kubernetes does; return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it at once, without a chance to do anything."""
        self.send(signal.SIGKILL)
        self.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def health(self, path: str) -> tuple[int, str]:
        """Ask a probe; 0 if nobody answers."""
        return ask(self.health_port, path)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        assert self._process is not None
        code = self._process.wait(15)
        self._process = None
        return code


class Jobs:
    """CrawlJobs of one namespace, as a user handles them: with kubectl."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def kubectl(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.cluster.kubectl("-n", self.namespace, *arguments, **options)

    def apply(self, name: str, **spec: Any) -> None:
        """Apply a CrawlJob."""
        self.kubectl("apply", "-f", "-", input=json.dumps(manifest(name, **spec)))

    def get(self, name: str, kind: str = "crawljob") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json").stdout)
        return found

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.get(name)["status"]
        return status

    def pods(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", "pods", "-o", "json").stdout)["items"]
        return items

    def finished(self, name: str, seconds: float = 60) -> dict[str, Any]:
        """Wait for a job's end and return its status."""
        terminal = {"Completed", "PartialSuccess", "Failed", "DeadLetter", "Cancelled"}
        wait_until(lambda: self.status(name)["phase"] in terminal, f"{name} ends", seconds)
        return self.status(name)

    def reached(self, name: str, phase: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until a job is in a phase and return its status."""
        wait_until(lambda: self.status(name)["phase"] == phase, f"{name} is {phase}", seconds)
        return self.status(name)

    def patch(self, name: str, **spec: Any) -> None:
        """Change fields of a CrawlJob's spec."""
        self.kubectl("patch", "crawljob", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def annotate(self, *what: str) -> None:
        """Annotate CrawlJobs: names or options, and then `name=value` without our prefix."""
        *which, annotation = what
        self.kubectl("annotate", "--overwrite", "crawljob", *which, f"crawl-operator.io/{annotation}")

    def running(self, name: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until a job is being processed and return its status."""
        return self.reached(name, "Processing", seconds)


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    """Make a CrawlJob; its type follows from its union member."""
    kind = "Single" if "single" in spec else "Batch"
    return {
        "apiVersion": "crawl-operator.io/v1alpha1",
        "kind": "CrawlJob",
        "metadata": {"name": name},
        "spec": {"type": kind, **spec},
    }


def records(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Read the stored result that a status points to."""
    path = Path(unquote(urlparse(status["resultURL"]).path))
    return [json.loads(line) for line in path.read_text().splitlines()]


def worker_pids(jobs: Jobs) -> set[int]:
    """Find the processes of this namespace's worker pods by what the node puts into their environment."""
    found = set()
    uids = [pod["metadata"]["uid"].encode() for pod in jobs.pods()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"crawl_worker" in command and any(uid in environment for uid in uids):
            found.add(int(process.name))
    return found


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a condition of a status; empty if it is not there."""
    return next((each for each in status.get("conditions", ()) if each["type"] == kind), {})


def wait_until(holds: Any, what: str, seconds: float, pause: float = 0.1) -> None:
    """Wait for something, or fail and say what did not come."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"within {seconds} s it did not come that {what}")
        time.sleep(pause)


def ask(port: int, path: str, seconds: float = 5) -> tuple[int, str]:
    """Ask a probe on loopback; 0 if nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def namespace(cluster: LocalCluster, name: str) -> Iterator[Jobs]:
    """Make a namespace that workers can be started in."""
    cluster.kubectl("create", "namespace", name)
    try:
        accounts = ("-n", name, "get", "serviceaccount", "default")
        wait_until(lambda: cluster.kubectl(*accounts, check=False).returncode == 0, "the namespace is usable", 20)
        yield Jobs(cluster, name)
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def prepare(cluster: LocalCluster) -> None:
    """Install what the operator needs in a cluster: the CRDs and its rights."""
    cluster.kubectl("apply", "-f", ROOT / "crds", "-f", ROOT / "operator" / "rbac.yaml")
    crds = ("crd/crawljobs.crawl-operator.io", "crd/scheduledcrawljobs.crawl-operator.io")
    cluster.kubectl("wait", "--for=condition=Established", *crds, "--timeout=30s")


def _kubeconfig(cluster: LocalCluster, folder: Path, server: str) -> Path:
    token = cluster.kubectl("-n", "crawl-operator", "create", "token", "crawl-operator", "--duration=1h").stdout.strip()
    admin = yaml.safe_load(cluster.kubeconfig.read_text())
    admin["clusters"][0]["cluster"]["server"] = server
    admin["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(admin))
    return path
