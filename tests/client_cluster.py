"""Users of a cluster with few rights or none, and their kubeconfigs, for tests of clients."""

from pathlib import Path
from typing import Any

import yaml

from local_cluster.cluster import LocalCluster
from operator_process import wait_until


def kubeconfig_of(cluster: LocalCluster, path: Path, **user: Any) -> Path:
    """Write a kubeconfig for the cluster whose user is as given, such as `token="…"`."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = user
    path.write_text(yaml.safe_dump(config))
    return path


def account(cluster: LocalCluster, namespace: str, name: str, *rules: dict[str, Any]) -> str:
    """Make a service account with these rights in its namespace and return a token of it."""
    kubectl = cluster.kubectl
    kubectl("-n", namespace, "create", "serviceaccount", name)
    if rules:
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": name},
            "rules": list(rules),
        }
        kubectl("-n", namespace, "apply", "-f", "-", input=yaml.safe_dump(role))
        subject = f"--serviceaccount={namespace}:{name}"
        kubectl("-n", namespace, "create", "rolebinding", name, f"--role={name}", subject)
        asked = ("-n", namespace, "auth", "can-i", *_of(rules[-1]), f"--as=system:serviceaccount:{namespace}:{name}")
        wait_until(lambda: kubectl(*asked, check=False).returncode == 0, f"{name} may do what its role says", 20)
    return kubectl("-n", namespace, "create", "token", name).stdout.strip()


def _of(rule: dict[str, Any]) -> tuple[str, ...]:
    """Return a right that a rule gives, as `kubectl auth can-i` asks for it."""
    resource, _, subresource = rule["resources"][0].partition("/")
    (group, *_), (name, *_) = rule["apiGroups"], rule.get("resourceNames", [""])
    kind = f"{resource}.{group}" if group else resource
    return rule["verbs"][0], f"{kind}/{name}" if name else kind, f"--subresource={subresource}"
