"""The operator as it is installed on a real node, and how its users speak to it."""

import contextlib
import json
import os
import select
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

from demo.pages import PAGES
from helm import ROOT, Helm
from local_cluster.identities import SERVICE_RANGE
from local_cluster.real import RealCluster, network
from operator_process import Jobs, wait_until

RELEASE: Final = "crawl-operator"
CRAWLS: Final = "crawls"
SITE: Final = "site"
PORT: Final = 8000
BASE: Final = f"http://site.{SITE}.svc:{PORT}"
CATALOGUE: Final = [path for path in PAGES if path.startswith("/catalogue/")]
GUIDE: Final = [path for path in PAGES if path.startswith("/guide/")]
"""Pages that are held back until the site is released."""

Object = dict[str, Any]


@dataclass(frozen=True)
class Installed:
    """A release, and its cluster."""

    real: RealCluster
    helm: Helm

    @property
    def jobs(self) -> Jobs:
        return Jobs(self.real, CRAWLS)

    def kubectl(self, *arguments: str | Path, **options: Any) -> Any:
        return self.real.kubectl(*arguments, **options)

    def listed(self, namespace: str, kind: str, *selector: str) -> list[Object]:
        """Return the objects of a kind that are not being deleted."""
        text = self.kubectl("-n", namespace, "get", kind, *selector, "-o", "json").stdout
        return [each for each in json.loads(text)["items"] if "deletionTimestamp" not in each["metadata"]]

    def begin(self, *names: str) -> None:
        """Have High and Normal jobs by turns be in the middle of a crawl: one page is done, the next are held back."""
        self.kubectl("-n", SITE, "exec", "site", "--", "rm", "-f", "/tmp/released")  # noqa: S108 - of the pod's own
        for number, name in enumerate(names):
            urls = [BASE + first_page(name), *(BASE + path for path in GUIDE)]
            priority = "Normal" if number % 2 else "High"
            fetch = {"concurrency": 1, "timeoutSeconds": 90}  # far more than a page is held back
            self.jobs.apply(name, batch={"urls": urls}, priority=priority, fetch=fetch, timeoutSeconds=900)

    def release(self) -> None:
        """Have the site answer everything at once, as soon as it is there."""
        touch = ("-n", SITE, "exec", "site", "--", "touch", "/tmp/released")  # noqa: S108 - of the pod's own
        wait_until(lambda: self.kubectl(*touch, check=False).returncode == 0, "the site is there", 120)

    def crawling(self, name: str) -> Object:
        """Wait until a job is in the middle of its crawl, and return its status."""
        wait_until(lambda: self.jobs.status(name)["progress"].get("succeeded"), f"{name} crawls", 240)
        return self.jobs.status(name)

    def went_on(self, name: str) -> Object:
        """Wait for the end of a job that was disturbed, and return its status: whole, and no attempt used up."""
        status = self.jobs.finished(name, 300)
        assert (status["phase"], status.get("retryCount", 0)) == ("Completed", 0), status
        assert {each["url"] for each in self.results(status)} == {BASE + path for path in (first_page(name), *GUIDE)}
        return status

    def containers(self, names: list[str]) -> dict[str, list[tuple[str, int]]]:
        """Return the containers of jobs' workers, and how often each was restarted."""
        found: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
        for pod in self.listed(CRAWLS, "pods", "-l", f"crawl-operator.io/job in ({', '.join(names)})"):
            (container,) = pod["status"]["containerStatuses"]
            job = pod["metadata"]["labels"]["crawl-operator.io/job"]
            found[job].append((container["containerID"], container["restartCount"]))
        return found

    def asked(self) -> list[str]:
        """Return what the site was asked for."""
        lines: list[str] = self.kubectl("-n", SITE, "logs", "site").stdout.splitlines()
        return lines

    def results(self, status: Object) -> list[Object]:
        """Download a job's results from the operator's volume."""
        path = unquote(urlparse(status["resultURL"]).path)
        text = self.kubectl("-n", RELEASE, "exec", f"deployment/{RELEASE}", "--", "cat", path).stdout
        return [json.loads(line) for line in text.splitlines()]

    def operators(self) -> list[Object]:
        """Return the operator's pods."""
        return self.listed(RELEASE, "pods", "-l", "app.kubernetes.io/name=crawl-operator")

    def leaders(self) -> list[Object]:
        """Return those that say that they lead."""
        script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8081/metrics').read().decode())"

        def leads(pod: Object) -> bool:
            command = ("exec", pod["metadata"]["name"], "--", "python", "-c", script)
            said = self.kubectl("-n", RELEASE, *command, check=False).stdout
            return "\ncrawl_operator_leader 1.0\n" in said

        return [pod for pod in self.operators() if leads(pod)]

    @contextlib.contextmanager
    def forwarded(self, service: str, port: int) -> Iterator[str]:
        """Have kubectl forward a port to a service of the release; yield the URL of this machine's end."""
        command = [self.real.kubectl_path, "-n", RELEASE, "port-forward", f"service/{service}", f":{port}"]
        environment = os.environ | self.real.env
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as forwarding:
            try:
                assert forwarding.stdout is not None
                assert select.select([forwarding.stdout], [], [], 30)[0], "kubectl forwards"
                address = forwarding.stdout.readline().split()[2]
                yield f"http://{address}"
            finally:
                forwarding.terminate()
                forwarding.wait(10)

    def kill(self, pod: Object) -> None:
        """Kill a pod's process; nothing tells it, or the API server, beforehand."""
        (container,) = pod["status"]["containerStatuses"]
        self.real.ctr("tasks", "kill", "--signal", "SIGKILL", container["containerID"].removeprefix("containerd://"))


def first_page(name: str) -> str:
    """Return a page that only this job asks for, and that is not held back."""
    return f"{CATALOGUE[0]}?job={name}"


def values_of(version: str) -> Object:
    """Values of an installation for one namespace, on a small machine without a registry."""
    image = {"tag": version, "pullPolicy": "Never"}
    return {
        "image": {"repository": "localhost/crawl-operator", **image},
        "worker": {"image": {"repository": "localhost/crawl-worker", **image, "tag": "0.1.0"}},
        "namespaces": [CRAWLS],
        "gateway": {
            "enabled": True,
            "replicas": 1,
            "image": {"repository": "localhost/crawl-gateway", **image, "tag": "0.1.0"},
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        },
        "results": {"persistence": {"storageClassName": "-", "size": "1Gi"}},
        "settings": {
            "limits": {"running": 25},
            "worker": {
                "allowedImages": ["localhost/crawl-handbook:*"],
                "allowedNetworks": [SERVICE_RANGE, network.POD_RANGE],
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
            },
        },
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
    }


def volume_of(folder: Path) -> Object:
    """Return a volume for the results: no provisioner runs here."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "results"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder), "type": "Directory"},
            "claimRef": {"namespace": RELEASE, "name": f"{RELEASE}-results"},
        },
    }


def site_objects(image: str) -> list[Object]:
    """Return the site as a pod behind a Service."""
    labels = {"app": "site"}
    metadata = {"name": "site", "namespace": SITE, "labels": labels}
    demo = ROOT / "examples" / "demo"
    names = ("__init__.py", "content.toml", "pages.py", "render.py", "serving.py", "site.py")
    paths = {f"demo/{name}": demo / name for name in names} | {"main.py": ROOT / "tests" / "e2e" / "pod_site.py"}
    files = {path.name: path.read_text() for path in paths.values()}
    items = [{"key": path.name, "path": where} for where, path in paths.items()]
    container = {
        "name": "site",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python", "/site/main.py", BASE, str(PORT)],
        "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 5},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "files", "mountPath": "/site"}],
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "files", "configMap": {"name": "site", "items": items}}],
    }
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            # A probe that a busy machine answers late must not make the site refuse connections.
            "spec": {"selector": labels, "ports": [{"port": PORT}], "publishNotReadyAddresses": True},
        },
    ]
