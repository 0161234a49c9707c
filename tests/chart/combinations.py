"""Values that people set together, each a way in which the chart differs."""

from typing import Any

COMBINATIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "namespaces": {"namespaces": ["team-a", "team-b"]},
    "whole cluster, prepared": {"worker": {"namespaces": ["team-a"]}},
    "accounts of one's own": {
        "namespaces": ["team-a"],
        "serviceAccount": {"create": False, "name": "mine"},
        "worker": {"serviceAccount": {"create": False, "name": "theirs"}},
        "rbac": {"create": False},
    },
    "one replica, results nowhere": {"replicas": 1, "results": {"persistence": {"enabled": False}}},
    "shared volume": {
        "results": {
            "persistence": {"accessModes": ["ReadWriteMany"], "storageClassName": "nfs", "annotations": {"a": "b"}}
        }
    },
    "a claim that exists": {"results": {"persistence": {"existingClaim": "crawls", "storageClassName": "-"}}},
    "a bucket": {
        "results": {"volume": {"csi": {"driver": "s3.example.org", "volumeAttributes": {"bucket": "crawls"}}}}
    },
    "nothing optional": {
        "crds": {"install": False},
        "priorityClasses": {"create": False},
        "admissionPolicy": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "worker": {"networkPolicy": {"enabled": False}},
        "rbac": {"aggregate": False, "resultsAccount": False},
        "settings": {"downloads": {"enabled": False}},
    },
    "a gateway": {"gateway": {"enabled": True}},
    "a gateway of namespaces": {
        "namespaces": ["team-a", "team-b"],
        "gateway": {
            "enabled": True,
            "replicas": 3,
            "image": {"repository": "registry.example.org/crawl-gateway"},
            "settings": {
                "defaultNamespace": "team-b",
                "tenants": {"acme": "team-a"},
                "origins": ["https://example.org"],
            },
            "service": {"type": "LoadBalancer", "port": 443, "annotations": {"example.org/internal": "true"}},
            "serviceAccount": {"create": False, "name": "web"},
            "allowedFrom": [{"namespaceSelector": {}}],
            "env": [{"name": "CRAWL_GATEWAY_LOGGING", "value": "debug"}],
        },
    },
    "everything optional": {
        "image": {
            "repository": "registry.example.org:5000/crawl-operator",
            "tag": "1.2.3",
            "digest": "sha256:" + "0" * 64,
        },
        "imagePullSecrets": [{"name": "pull"}],
        "namespaces": ["team-a"],
        "metrics": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "failedJobs": 5, "labels": {"release": "prometheus"}},
            "dashboard": {"enabled": True},
        },
        "networkPolicy": {
            "downloadsFrom": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "ingress"}}}]
        },
        "podLabels": {"team": "crawls"},
        "podAnnotations": {"example.org/note": "1"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "crawls", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.org:3128"}],
        "serviceAccount": {"annotations": {"example.org/role": "crawls"}},
        "settings": {
            "logging": "debug",
            "limits": {"running": 100, "urlsPerJob": 1000},
            "classes": {"Low": {"execution": "Pod", "resources": {"requests": {"cpu": "50m"}}}},
            "worker": {
                "allowedImages": ["registry.example.org/crawls/*"],
                "allowedNetworks": ["10.1.0.0/16", "fd00:1::/64"],
                "userAgent": "docs",
                "contact": "a@example.org",
            },
            "results": {"storeUrl": "s3://crawls/all", "storeCredentials": "crawl-bucket"},
            "downloads": {"audiences": ["crawl-results"], "parallel": 100},
            "reconcile": {"workers": 4},
            "leadership": {"leaseSeconds": 30, "renewSeconds": 10},
            "retention": {"deleteJobs": False},
        },
    },
}
