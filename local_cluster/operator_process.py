"""The operator as a real process against a real API server, with the rights that `operator/rbac.yaml` gives it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import yaml

from local_cluster.cluster import LocalCluster
from local_cluster.processes import die_with_parent

ROOT: Final = Path(__file__).resolve().parent.parent

WORKER_IMAGE: Final = "crawl-worker:local"

_READY_SECONDS: Final = 60
_END_SECONDS: Final = 15


class OperatorProcess:
    """An operator; `with` starts and ends it. It may be killed and started again in between."""

    def __init__(
        self,
        cluster: LocalCluster,
        folder: Path,
        *,
        server: str | None = None,
        ready: bool = True,
        **settings: Any,
    ) -> None:
        """Describe an operator; `server` leads it past a proxy, `ready` waits for its readiness at the start."""
        self.folder = folder
        self._ready = ready
        self.log_file = folder / "operator.log"
        self.port, self.health_port = free_port(), free_port()
        self._environment = os.environ | {"KUBECONFIG": str(_kubeconfig(cluster, folder, server or cluster.server))}
        defaults: dict[str, Any] = {
            "endpoint": {"host": "127.0.0.1", "port": self.port, "url": self.url},
            "health": {"host": "127.0.0.1", "port": self.health_port},
            "worker": {"image": WORKER_IMAGE, "allowedNetworks": ["127.0.0.0/8"]},
            "results": {"folder": str(folder / "results")},
        }
        for group, values in settings.items():
            defaults[group] = {**defaults.get(group, {}), **values} if isinstance(values, dict) else values
        self.config = folder / "operator.yaml"
        self.config.write_text(yaml.safe_dump(defaults))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where workers report to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id, while it runs."""
        return self._running.pid

    @property
    def log(self) -> str:
        """What it has logged."""
        return self.log_file.read_text()

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
                [sys.executable, "-W", "error::RuntimeWarning", "-m", "crawl_operator", "--config", self.config],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, which allocates nothing
            )
        probe = "readyz" if self._ready else "healthz"
        wait_until(lambda: self.health(probe)[0] == 200, "the operator is ready", _READY_SECONDS)

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
        self._running.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        code = self._running.wait(_END_SECONDS)
        self._process = None
        return code

    def health(self, path: str) -> tuple[int, str]:
        """Ask a probe; 0 if nobody answers."""
        return ask(self.health_port, path)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the operator does not run")
        return self._process


def prepare(cluster: LocalCluster) -> None:
    """Install what the operator needs in a cluster: the CRD and its rights."""
    cluster.kubectl("apply", "-f", ROOT / "crds", "-f", ROOT / "operator" / "rbac.yaml")
    crds = ("crd/crawljobs.crawl-operator.io", "crd/scheduledcrawljobs.crawl-operator.io")
    cluster.kubectl("wait", "--for=condition=Established", *crds, "--timeout=30s")


def wait_until(holds: Callable[[], object], what: str, seconds: float, pause: float = 0.1) -> None:
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
    """Return a port on loopback that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _kubeconfig(cluster: LocalCluster, folder: Path, server: str) -> Path:
    token = cluster.kubectl("-n", "crawl-operator", "create", "token", "crawl-operator", "--duration=1h").stdout.strip()
    admin = yaml.safe_load(cluster.kubeconfig.read_text())
    admin["clusters"][0]["cluster"]["server"] = server
    admin["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(admin))
    return path
