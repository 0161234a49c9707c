"""Run one crawl and see that its worker reported and that its status says how it ended.

The crawl is of an address that no worker may reach, so that the test needs no site: it ends as Failed, in the worker's
words, unless `settings.worker.allowedNetworks` let it through.
"""

import json
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECONDS = 240
ENDED = {"Completed", "PartialSuccess", "Failed", "DeadLetter", "Cancelled"}


def call(method: str, path: str, body: dict | None = None) -> dict:
    """Ask the API server."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    request = urllib.request.Request(
        f"https://{f'[{host}]' if ':' in host else host}:{port}{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(
        request, timeout=30, context=ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    ) as answer:
        return json.load(answer)


def main() -> int:
    namespace, url = sys.argv[1:]
    jobs = f"/apis/crawl-operator.io/v1alpha1/namespaces/{namespace}/crawljobs"
    for priority in ("High", "Normal"):
        made = call(
            "POST",
            jobs,
            {
                "apiVersion": "crawl-operator.io/v1alpha1",
                "kind": "CrawlJob",
                "metadata": {"generateName": "helm-test-"},
                "spec": {
                    "type": "Single",
                    "single": {"url": url},
                    "priority": priority,
                    "retry": {"maxAttempts": 1},
                    "fetch": {"timeoutSeconds": 10},
                },
            },
        )
        job = f"{jobs}/{made['metadata']['name']}"
        try:
            status = made["status"]
            deadline = time.monotonic() + SECONDS
            while status["phase"] not in ENDED and time.monotonic() < deadline:
                time.sleep(1)
                status = call("GET", job)["status"]
            print(json.dumps(status, indent=1), flush=True)
            if status["phase"] not in ENDED:
                print(f"the crawl has not ended in {SECONDS} s")
                return 1
            if status["phase"] != "Completed" and not any(error.get("url") for error in status.get("errors", [])):
                print("no worker has reported: the crawl did not end by what it met")
                return 1
        finally:
            call("DELETE", job)
    print("a crawl ran as a pod, and one as a batch Job")
    return 0


if __name__ == "__main__":
    sys.exit(main())
