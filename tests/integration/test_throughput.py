"""Many tiny jobs at once: all are taken and finished, and counted exactly.

Their worker is a shell that says it is done: it is about the operator and the control plane, not about crawling. How
fast they are is for `make bench-reconcile` to measure, on a quiet machine.
"""

import json
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api_server import ApiServer
from local_cluster.cluster import LocalCluster
from local_cluster.components import Image
from operator_process import WORKER_IMAGE, OperatorProcess, manifest, namespace, prepare, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.faults, pytest.mark.timeout(600)]

JOBS = 500

PACE = 20
"""Jobs submitted per second, at the most."""

SAYS_DONE = """printf '{"total": 1, "succeeded": 1, "failed": 0, "items": 1}' > "$CRAWL_TERMINATION_LOG" """


def test_five_hundred_tiny_jobs_are_taken_and_finished_and_counted_exactly(tmp_path: Path) -> None:
    worker = Image(entrypoint=["/bin/sh", "-c", SAYS_DONE])
    with LocalCluster("throughput", images={WORKER_IMAGE: worker}) as cluster:
        prepare(cluster)
        api = ApiServer(cluster)
        with (
            namespace(cluster, "tiny") as jobs,
            OperatorProcess(cluster, tmp_path, namespaces=["tiny"], limits={"running": 100}) as operator,
        ):
            path = "/apis/crawl-operator.io/v1alpha1/namespaces/tiny/crawljobs"
            begun = time.monotonic()
            for number in range(JOBS):
                time.sleep(max(0.0, begun + number / PACE - time.monotonic()))
                body = manifest(f"tiny{number}", single={"url": "http://127.0.0.1/"}, priority="High")
                assert api.call("POST", path, body).status == 201

            def completed() -> int:
                phases = jobs.kubectl("get", "crawljobs", "-o", "jsonpath={.items[*].status.phase}").stdout.split()
                return phases.count("Completed")

            wait_until(lambda: completed() == JOBS, "all jobs are completed", 300, pause=0.5)
            objects = json.loads(jobs.kubectl("get", "crawljobs", "-o", "json").stdout)["items"]
            metrics = operator.health("metrics")[1]
        api.close()
    times = [body["status"]["processingTimeMs"] / 1000 for body in objects]
    buckets = {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "crawl_operator_job_processing_seconds_bucket" and sample.labels["type"] == "Single"
    }
    assert buckets == {limit: sum(each <= limit for each in times) for limit in buckets}
    assert buckets[float("inf")] == JOBS
