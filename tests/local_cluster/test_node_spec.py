"""What the node refuses, and that it names all of it at once."""

import copy
from typing import Any

import pytest

from local_cluster.node.spec import unsupported

PLAIN: dict[str, Any] = {
    "spec": {
        "restartPolicy": "Never",
        "hostNetwork": False,
        "dnsPolicy": "ClusterFirst",
        "hostUsers": False,
        "securityContext": {"runAsNonRoot": True, "fsGroup": 1, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [
            {"name": "a", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "b", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        ],
        "containers": [
            {
                "name": "main",
                "image": "x",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"limits": {"cpu": "1"}},
                "volumeMounts": [{"name": "a", "mountPath": "/a", "readOnly": True, "subPath": "s"}],
                "securityContext": {
                    "privileged": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "livenessProbe": {"httpGet": {"port": 80}},
            }
        ],
    }
}


def with_spec(**fields: object) -> dict[str, Any]:
    pod = copy.deepcopy(PLAIN)
    pod["spec"].update(fields)
    return pod


def with_container(**fields: object) -> dict[str, Any]:
    pod = copy.deepcopy(PLAIN)
    pod["spec"]["containers"][0].update(fields)
    return pod


def test_a_restricted_pod_is_accepted() -> None:
    assert unsupported(PLAIN) == []


@pytest.mark.parametrize(
    ("pod", "path"),
    [
        (with_spec(hostNetwork=True), "spec.hostNetwork"),
        (with_spec(hostPID=True), "spec.hostPID"),
        (with_spec(hostAliases=[{"ip": "1.2.3.4"}]), "spec.hostAliases"),
        (with_spec(dnsConfig={"searches": ["x"]}), "spec.dnsConfig"),
        (with_spec(ephemeralContainers=[{"name": "e"}]), "spec.ephemeralContainers"),
        (with_spec(runtimeClassName="gvisor"), "spec.runtimeClassName"),
        (with_spec(os={"name": "windows"}), "spec.os.name"),
        (with_spec(somethingNew="x"), "spec.somethingNew"),
        (with_spec(securityContext={"sysctls": [{"name": "a"}]}), "spec.securityContext.sysctls"),
        (with_spec(volumes=[{"name": "h", "hostPath": {"path": "/"}}]), "spec.volumes[0].hostPath"),
        (
            with_spec(volumes=[{"name": "h", "persistentVolumeClaim": {"claimName": "c"}}]),
            "spec.volumes[0].persistentVolumeClaim",
        ),
        (
            with_spec(volumes=[{"name": "p", "projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}]}}]),
            "spec.volumes[0].projected.sources[0].clusterTrustBundle",
        ),
        (with_container(securityContext={"privileged": True}), "spec.containers[0].securityContext.privileged"),
        (with_container(ports=[{"containerPort": 1, "hostPort": 1}]), "spec.containers[0].ports[0].hostPort"),
        (with_container(lifecycle={"preStop": {}}), "spec.containers[0].lifecycle"),
        (with_container(stdin=True), "spec.containers[0].stdin"),
        (with_container(tty=True), "spec.containers[0].tty"),
        (with_container(restartPolicy="Always"), "spec.containers[0].restartPolicy"),
        (with_container(volumeDevices=[{"name": "d"}]), "spec.containers[0].volumeDevices"),
        (with_container(resources={"claims": [{"name": "gpu"}]}), "spec.containers[0].resources.claims"),
        (with_container(readinessProbe={"grpc": {"port": 1}}), "spec.containers[0].readinessProbe.grpc"),
        (
            with_container(volumeMounts=[{"name": "a", "mountPath": "/a", "subPathExpr": "$(X)"}]),
            "spec.containers[0].volumeMounts[0].subPathExpr",
        ),
        (
            with_container(volumeMounts=[{"name": "a", "mountPath": "/"}]),
            "spec.containers[0].volumeMounts[0].mountPath (/)",
        ),
        (
            with_container(env=[{"name": "V", "valueFrom": {"fieldRef": {"fieldPath": "spec.hostname"}}}]),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath (spec.hostname)",
        ),
        (
            with_container(env=[{"name": "V", "valueFrom": {"fileKeyRef": {"path": "p"}}}]),
            "spec.containers[0].env[0].valueFrom.fileKeyRef",
        ),
    ],
)
def test_what_is_not_supported_is_named(pod: dict[str, Any], path: str) -> None:
    assert unsupported(pod) == [path]


def test_everything_is_named_at_once() -> None:
    pod = with_spec(hostNetwork=True, hostIPC=True, initContainers=[{"name": "i", "restartPolicy": "Always"}])
    pod["spec"]["containers"][0]["lifecycle"] = {"postStart": {}}
    assert unsupported(pod) == [
        "spec.hostIPC",
        "spec.hostNetwork",
        "spec.initContainers[0].restartPolicy",
        "spec.containers[0].lifecycle",
    ]
