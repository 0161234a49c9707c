"""Which namespaces an operator serves, and as whom it runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, ask, free_port, namespace, wait_until

pytestmark = pytest.mark.cluster


def test_an_operator_serves_the_namespaces_it_is_told_and_no_other(
    cluster: LocalCluster, jobs: Jobs, site: DemoSite, tmp_path: Path
) -> None:
    """Two listed, one not: the third one's job stays Pending until an operator for the whole cluster comes."""
    with namespace(cluster, f"{jobs.namespace}-b") as second, namespace(cluster, f"{jobs.namespace}-c") as third:
        (tmp_path / "listed").mkdir()
        (tmp_path / "all").mkdir()
        listed = [jobs.namespace, second.namespace]
        with OperatorProcess(cluster, tmp_path / "listed", namespaces=listed):
            for served in (jobs, second, third):
                served.apply("page", single={"url": site.base_url + "/"}, priority="High")
            assert jobs.finished("page")["phase"] == "Completed"
            assert second.finished("page")["phase"] == "Completed"
            assert third.status("page")["phase"] == "Pending"
        with OperatorProcess(cluster, tmp_path / "all"):
            assert third.finished("page")["phase"] == "Completed"


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare for a mount namespace")
def test_an_operator_runs_in_a_pod_by_its_service_account(cluster: LocalCluster, jobs: Jobs, site: DemoSite) -> None:
    """In-cluster: no kubeconfig, only the pod's token, CA and environment.

    Clients look for the token at a fixed path, and the local node has no mounts: the pod makes one for itself.
    """
    own_mounts = ["unshare", "--user", "--map-root-user", "--mount"]
    usable = subprocess.run([*own_mounts, "true"], capture_output=True, check=False)
    if usable.returncode:
        pytest.skip(f"no mount namespaces here: {usable.stderr.decode().strip()}")
    port, health = free_port(), free_port()
    settings = {
        "namespaces": [jobs.namespace],
        "endpoint": {"host": "127.0.0.1", "port": port, "url": f"http://127.0.0.1:{port}"},
        "health": {"host": "127.0.0.1", "port": health},
        "worker": {"image": "crawl-worker:local", "allowedNetworks": ["127.0.0.0/8"]},
    }
    script = (
        # In two steps, because the node would take the whole path for the volume and replace it.
        'set -e; mount -t tmpfs none "$(readlink -f /var/run)"; there=/var/run/secrets; mkdir "$there"; '
        'there="$there"/kubernetes.io; mkdir "$there"; cp -rL "$ACCOUNT" "$there"/serviceaccount; '
        'export CRAWL_OPERATOR_RESULTS__FOLDER="$RESULTS"; '
        f'exec {sys.executable} -m crawl_operator --config "$CONFIG"/operator.yaml'
    )
    objects = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "operator-settings", "namespace": "crawl-operator"},
            "data": {"operator.yaml": yaml.safe_dump(settings)},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "operator", "namespace": "crawl-operator"},
            "spec": {
                "serviceAccountName": "crawl-operator",
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 5,
                "containers": [
                    {
                        "name": "operator",
                        "image": "host",
                        "command": [*own_mounts, "sh", "-c", script],
                        "env": [
                            {"name": "ACCOUNT", "value": "/var/run/secrets/kubernetes.io/serviceaccount"},
                            {"name": "CONFIG", "value": "/etc/crawl-operator"},
                            {"name": "RESULTS", "value": "/var/lib/crawl-operator/results"},
                        ],
                        "volumeMounts": [
                            {"name": "settings", "mountPath": "/etc/crawl-operator"},
                            {"name": "results", "mountPath": "/var/lib/crawl-operator"},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "settings", "configMap": {"name": "operator-settings"}},
                    {"name": "results", "emptyDir": {}},
                ],
            },
        },
    ]
    cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    try:
        wait_until(lambda: ask(health, "readyz")[0] == 200, "the operator is ready", 60)
        jobs.apply("page", single={"url": site.base_url + "/"}, priority="High")
        assert jobs.finished("page")["phase"] == "Completed"
    finally:
        cluster.kubectl("-n", "crawl-operator", "delete", "pod/operator", "configmap/operator-settings")
