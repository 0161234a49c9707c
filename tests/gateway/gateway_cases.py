"""Objects as the API server writes them, for tests of what the gateway keeps in memory."""

from typing import Any


def raw(name: str = "a", *, namespace: str = "x", uid: str = "", version: int = 1, **more: Any) -> dict[str, Any]:
    """Make a CrawlJob; `more` are labels, created, spec, status."""
    return {
        "apiVersion": "crawl-operator.io/v1alpha1",
        "kind": "CrawlJob",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-{namespace}-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": more.get("created", "2026-01-01T00:00:00Z"),
            "labels": more.get("labels", {}),
            "managedFields": [{"manager": "kubectl"}],
            "annotations": more.get("annotations", {}),
        },
        "spec": {"type": "Single", "single": {"url": f"https://example.org/{name}"}, **more.get("spec", {})},
        "status": more.get("status", {}),
    }
