"""Users of a cluster with few rights or none, and their kubeconfigs, for tests of clients."""

import json
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
        review = _review(f"system:serviceaccount:{namespace}:{name}", namespace, rules[-1])
        asked = ("create", "-f", "-", "-o", "jsonpath={.status.allowed}")
        allowed = lambda: kubectl(*asked, input=json.dumps(review)).stdout == "true"  # noqa: E731 - one line
        wait_until(allowed, f"{name} may do what its role says", 20)
    return kubectl("-n", namespace, "create", "token", name).stdout.strip()


def _review(user: str, namespace: str, rule: dict[str, Any]) -> dict[str, Any]:
    """Ask whether a user has one of the rights that a rule gives."""
    resource, _, subresource = rule["resources"][0].partition("/")
    right = {
        "namespace": namespace,
        "verb": rule["verbs"][0],
        "group": rule["apiGroups"][0],
        "resource": resource,
        "subresource": subresource,
        "name": rule.get("resourceNames", [""])[0],
    }
    spec = {"user": user, "resourceAttributes": right}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
