"""Who takes part in a cluster, under which name, and the files by which each proves it."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from local_cluster.pki import Authority, KeyPair, write_token_key

SERVICE_RANGE = "10.96.0.0/16"
_SERVICE_ADDRESS = "10.96.0.1"  # the first of the range is the Service `kubernetes`
_LOOPBACK = "127.0.0.1"
_NODES = "system:nodes"
_MASTERS = "system:masters"


@dataclass(frozen=True)
class Identities:
    """Files of all parties; a kubeconfig names its cluster, user and context after the cluster."""

    authority: KeyPair
    token_key: Path
    apiserver: KeyPair
    to_kubelet: KeyPair
    controller_manager: KeyPair
    """Serves the controller manager's own health endpoint."""
    scheduler: KeyPair
    node: KeyPair
    admin: KeyPair
    admin_kubeconfig: Path
    controller_manager_kubeconfig: Path
    scheduler_kubeconfig: Path
    node_kubeconfig: Path


def issue(state: Path, cluster: str, server: str, node: str) -> Identities:
    """Write keys, certificates and kubeconfigs for a cluster whose API server is reached at the URL `server`."""
    authority = Authority(state / "pki", f"{cluster}-ca")
    certificate = authority.pair.certificate.read_bytes()

    def kubeconfig(file: str, pair: KeyPair) -> Path:
        path = state / f"{file}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(_kubeconfig(cluster, server, certificate, pair))
        return path

    services = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    local = ("localhost", _LOOPBACK)
    admin = authority.client("admin", "admin", _MASTERS)
    return Identities(
        authority=authority.pair,
        token_key=write_token_key(state / "pki" / "tokens.key"),
        apiserver=authority.server("apiserver", "kube-apiserver", (*local, *services, _SERVICE_ADDRESS)),
        to_kubelet=authority.client("apiserver-to-kubelet", "kube-apiserver-kubelet-client", _MASTERS),
        controller_manager=authority.server("controller-manager-serving", "kube-controller-manager", local),
        scheduler=authority.server("scheduler-serving", "kube-scheduler", local),
        node=authority.server("node-serving", f"system:node:{node}", (node, *local), _NODES),
        admin=admin,
        admin_kubeconfig=kubeconfig("admin", admin),
        controller_manager_kubeconfig=kubeconfig(
            "controller-manager", authority.client("controller-manager", "system:kube-controller-manager")
        ),
        scheduler_kubeconfig=kubeconfig("scheduler", authority.client("scheduler", "system:kube-scheduler")),
        node_kubeconfig=kubeconfig("node", authority.client("node", f"system:node:{node}", _NODES)),
    )


def _kubeconfig(cluster: str, server: str, certificate: bytes, pair: KeyPair) -> str:
    """Return a kubeconfig with everything in it, so that a copy of the file works as well (JSON is valid YAML)."""
    user = {
        "client-certificate-data": base64.b64encode(pair.certificate.read_bytes()).decode(),
        "client-key-data": base64.b64encode(pair.key.read_bytes()).decode(),
    }
    authority = base64.b64encode(certificate).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": cluster, "user": user}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster, "namespace": "default"}}],
        "current-context": cluster,
    }
    return json.dumps(content, indent=1)
