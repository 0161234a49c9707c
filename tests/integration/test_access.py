"""Who may say what: workers to the operator, workers to the API server, the operator to the API server."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from crawl_api.worker_protocol import outcome_path, progress_path, results_path
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, wait_until

pytestmark = pytest.mark.cluster

REPORT = json.dumps({"total": 1, "succeeded": 1, "failed": 0}).encode()


@dataclass(frozen=True)
class TwoJobs:
    """Two jobs that are being processed, and the operator that serves them."""

    jobs: Jobs
    operator: OperatorProcess
    uids: dict[str, str]
    pods: dict[str, dict[str, Any]]

    def token(self, name: str, *options: str) -> str:
        """Have the API server issue a token like the one projected into the job's pod."""
        pod = self.pods[name]["metadata"]
        bound = ("--bound-object-kind=Pod", f"--bound-object-name={pod['name']}", f"--bound-object-uid={pod['uid']}")
        arguments = options or ("--audience=crawl-operator", *bound)
        return self.jobs.kubectl("create", "token", "default", *arguments).stdout.strip()

    def send(self, path: str, token: str | None, body: bytes = REPORT, method: str = "POST") -> int:
        """Send a report as a worker would; return the status of the answer."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        request = urllib.request.Request(self.operator.url + path, data=body, headers=headers, method=method)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            with error:
                return error.code


@pytest.fixture
def two(jobs: Jobs, operator: OperatorProcess) -> Iterator[TwoJobs]:
    with DemoSite(delays={"/slow": 100}) as site:
        for name in ("mine", "other"):
            jobs.apply(name, single={"url": site.base_url + "/slow"}, priority="High", fetch={"timeoutSeconds": 100})
        pods = {name: jobs.get(jobs.running(name)["workerId"], "pod") for name in ("mine", "other")}
        uids = {name: jobs.get(name)["metadata"]["uid"] for name in ("mine", "other")}
        yield TwoJobs(jobs, operator, uids, pods)


def test_a_worker_speaks_for_its_own_job_and_attempt_only(two: TwoJobs) -> None:
    """A valid token opens one job's reports, of one attempt; progress it reports is shown."""
    token = two.token("mine")
    assert two.send(progress_path(two.uids["mine"], 1), token) == 204
    assert two.send(progress_path(two.uids["other"], 1), token) == 403
    assert two.send(progress_path(two.uids["mine"], 2), token) == 403
    assert two.send(results_path(two.uids["other"], 1), token, b"{}\n", "PUT") == 403
    assert two.send(outcome_path(two.uids["other"], 1), token, REPORT, "PUT") == 403
    assert two.jobs.status("other")["progress"]["succeeded"] == 0


def test_tokens_of_no_worker_are_refused(two: TwoJobs, cluster: LocalCluster) -> None:
    """None, garbage, another audience, no pod, expired though signed by the cluster, forged: 401."""
    path = progress_path(two.uids["mine"], 1)
    valid = two.token("mine")
    claims = jwt.decode(valid, options={"verify_signature": False})
    header = jwt.get_unverified_header(valid)
    signing_key = cluster.blueprint.identities.token_key.read_text()
    now = int(time.time())

    def signed(**changes: Any) -> str:
        return jwt.encode({**claims, **changes}, signing_key, algorithm="RS256", headers={"kid": header["kid"]})

    assert two.send(path, signed()) == 204, "a token made here is as good as the cluster's own"
    refused = {
        "none": None,
        "garbage": "garbage",
        "another audience": two.token("mine", "--audience=somebody-else"),
        "no pod": two.token("mine", "--audience=crawl-operator"),
        "expired": signed(exp=now - 60, iat=now - 3660, nbf=now - 3660),
        "not yet valid": signed(nbf=now + 600),
        "another issuer": signed(iss="https://elsewhere.example"),
        "forged": valid[:-8] + ("A" * 8 if not valid.endswith("A" * 8) else "B" * 8),
        "no algorithm": jwt.encode(claims, "", algorithm="none", headers={"kid": header["kid"]}),
    }
    assert {why: two.send(path, token) for why, token in refused.items()} == dict.fromkeys(refused, 401)


def test_reports_are_bounded_and_checked(two: TwoJobs) -> None:
    """Too large is 413, not understood is 400; neither harms the job."""
    token = two.token("mine")
    path = progress_path(two.uids["mine"], 1)
    assert two.send(path, token, b" " * (100 << 10)) == 413
    assert two.send(path, token, b'{"total": -1, "succeeded": 0, "failed": 0}') == 400
    assert two.send(path, token, b"not JSON") == 400
    assert two.jobs.status("mine")["phase"] == "Processing"


def test_a_report_on_a_job_that_is_over_is_refused(two: TwoJobs) -> None:
    """A worker that outlives its job, as far as the operator knows, is told so."""
    token = two.token("mine")
    two.jobs.kubectl("delete", "crawljob", "mine")
    deadline = time.monotonic() + 10
    while (status := two.send(progress_path(two.uids["mine"], 1), token)) == 204 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert status in {410, 503}


def test_a_worker_has_no_rights_on_the_api_server(two: TwoJobs, cluster: LocalCluster) -> None:
    """Its token is none there, and no other is mounted; its pod is restricted."""
    refused = cluster.kubectl(
        "--kubeconfig=/dev/null", f"--server={cluster.server}", "--insecure-skip-tls-verify",
        f"--token={two.token('mine')}", "get", "pods", check=False,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "Unauthorized" in refused.stderr or "logged in" in refused.stderr
    spec = two.pods["mine"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    sources = [source for volume in spec["volumes"] for source in volume.get("projected", {}).get("sources", ())]
    assert [list(source) for source in sources] == [["serviceAccountToken"], ["downwardAPI"]]
    assert sources[0]["serviceAccountToken"]["audience"] == "crawl-operator"


def test_worker_pods_pass_the_restricted_pod_security_standard(
    cluster: LocalCluster, jobs: Jobs, operator: OperatorProcess, site: DemoSite
) -> None:
    """A namespace that enforces it runs crawls in both executions."""
    cluster.kubectl("label", "namespace", jobs.namespace, "pod-security.kubernetes.io/enforce=restricted")
    for priority in ("High", "Normal"):
        jobs.apply(priority.lower(), single={"url": site.base_url + "/"}, priority=priority)
        assert jobs.finished(priority.lower())["phase"] == "Completed"


def test_a_cluster_that_takes_no_worker_is_quoted_and_asked_again(
    cluster: LocalCluster, jobs: Jobs, operator: OperatorProcess, site: DemoSite
) -> None:
    """A quota refuses the pod: the job says so in the cluster's words, and runs once there is room."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    jobs.kubectl("create", "-f", "-", input=json.dumps(quota))
    pod = ("run", "any", "--image=any", "--dry-run=server")
    wait_until(lambda: "exceeded quota" in jobs.kubectl(*pod, check=False).stderr, "the quota holds", 15)
    jobs.apply("full", single={"url": site.base_url + "/"}, priority="High")
    deadline = time.monotonic() + 15
    scheduled: dict[str, Any] = {}
    while not scheduled and time.monotonic() < deadline:
        time.sleep(0.1)
        scheduled = next((each for each in jobs.status("full")["conditions"] if each["type"] == "Scheduled"), {})
    assert (scheduled["status"], scheduled["reason"]) == ("False", "WorkerRefused")
    assert "exceeded quota" in scheduled["message"]
    jobs.kubectl("delete", "resourcequota", "none")
    assert jobs.finished("full")["phase"] == "Completed"


def test_the_operator_never_writes_a_spec(jobs: Jobs, operator: OperatorProcess, site: DemoSite) -> None:
    """What a user has in Git stays what is in the cluster: spec, labels and annotations are theirs alone."""
    jobs.apply("kept", single={"url": site.base_url + "/"}, priority="High", metadata={"any": [1, {"b": None}]})
    before = jobs.get("kept")
    jobs.finished("kept")
    after = jobs.get("kept")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == 1
    assert after["metadata"].get("labels") == before["metadata"].get("labels")
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert "finalizers" not in after["metadata"]
