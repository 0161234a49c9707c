"""The operator as it is installed on a real node, and how its users speak to it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

from helm import Helm
from local_cluster.identities import SERVICE_RANGE
from local_cluster.real import RealCluster, network
from operator_process import Jobs

RELEASE: Final = "crawl-operator"
CRAWLS: Final = "crawls"
SITE: Final = "site"
PORT: Final = 8000

Object = dict[str, Any]

_SITE: Final = f"""
import http.server, time

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/slow"):
            time.sleep(2)
        found = self.path.startswith(("/page", "/slow"))
        body = f"<html><head><title>{{self.path}}</title></head><body><p>A page.</p></body></html>".encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", {PORT}), Page).serve_forever()
"""


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

    def apply(self, name: str, *paths: str, **spec: Any) -> None:
        """Apply a job of these pages of the site."""
        urls = [url_of(path) for path in paths]
        member = {"single": {"url": urls[0]}} if len(urls) == 1 else {"batch": {"urls": urls}}
        self.jobs.apply(name, **member, **spec)

    def results(self, status: Object) -> list[Object]:
        """Download a job's results from the operator's volume."""
        path = unquote(urlparse(status["resultURL"]).path)
        text = self.kubectl("-n", RELEASE, "exec", f"deployment/{RELEASE}", "--", "cat", path).stdout
        return [json.loads(line) for line in text.splitlines()]

    def operators(self) -> list[Object]:
        """Return the operator's pods that are not being deleted."""
        text = self.kubectl("-n", RELEASE, "get", "pods", "-l", "app.kubernetes.io/name=crawl-operator", "-o", "json")
        return [each for each in json.loads(text.stdout)["items"] if "deletionTimestamp" not in each["metadata"]]


def url_of(path: str) -> str:
    return f"http://site.{SITE}.svc:{PORT}{path}"


def values_of(version: str) -> Object:
    """Values of an installation for one namespace, on a small machine without a registry."""
    image = {"tag": version, "pullPolicy": "Never"}
    return {
        "image": {"repository": "localhost/crawl-operator", **image},
        "worker": {"image": {"repository": "localhost/crawl-worker", **image, "tag": "0.1.0"}},
        "namespaces": [CRAWLS],
        "results": {"persistence": {"storageClassName": "-", "size": "1Gi", "keep": False}},
        "settings": {
            "limits": {"running": 25},
            "worker": {
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
    """Return a site that runs as a pod behind a Service."""
    labels = {"app": "site"}
    metadata = {"name": "site", "namespace": SITE, "labels": labels}
    container = {
        "name": "site",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", _SITE],
        "readinessProbe": {"httpGet": {"path": "/page", "port": PORT}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [container],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": PORT}]},
        },
    ]
