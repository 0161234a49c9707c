"""What time takes away: results first, then jobs that went well, then failed ones."""

from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, condition, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

TTL = {"resultSeconds": 6, "completedSeconds": 12, "failedSeconds": 60}


def exists(jobs: Jobs, name: str) -> bool:
    return jobs.kubectl("get", "crawljob", name, check=False).returncode == 0


@pytest.mark.timeout(240)
def test_result_then_completed_then_failed_job_go_with_their_pods(
    cluster: LocalCluster, jobs: Jobs, operator: OperatorProcess, site: DemoSite
) -> None:
    """Shortened times, in their order; a restart in between forgets none of them."""
    jobs.apply("good", single={"url": site.base_url + "/"}, priority="High", ttl=TTL)
    jobs.apply("bad", single={"url": site.base_url + "/nowhere"}, priority="High", ttl=TTL)
    stored = Path(unquote(urlparse(jobs.finished("good")["resultURL"]).path))
    assert stored.is_file()
    wait_until(lambda: condition(jobs.status("good"), "ResultAvailable")["reason"] == "ResultExpired", "it expires", 12)
    status = jobs.status("good")
    assert not stored.exists()
    assert status["phase"] == "Completed"
    assert "resultURL" not in status
    assert "data" not in status["result"]
    assert status["result"]["items"] == 1
    jobs.finished("bad")
    operator.kill()
    operator.start()
    wait_until(lambda: not exists(jobs, "good"), "the completed job goes", 20)
    assert exists(jobs, "bad")
    wait_until(lambda: not exists(jobs, "bad"), "the failed job goes", 70)
    wait_until(lambda: not jobs.pods(), "their pods go with them", 20)


def test_jobs_stay_where_retention_is_switched_off(
    cluster: LocalCluster, jobs: Jobs, site: DemoSite, tmp_path: Path
) -> None:
    """For GitOps: results go, jobs stay, so that nothing is applied, and run, again."""
    ttl = {"resultSeconds": 1, "completedSeconds": 1}
    settings = {"deleteJobs": False}
    with OperatorProcess(cluster, tmp_path, namespaces=[jobs.namespace], retention=settings):
        jobs.apply("kept", single={"url": site.base_url + "/"}, priority="High", ttl=ttl)
        jobs.finished("kept")
        wait_until(
            lambda: condition(jobs.status("kept"), "ResultAvailable")["reason"] == "ResultExpired", "it expires", 10
        )
        assert exists(jobs, "kept")


def test_a_deleted_job_takes_its_results_along(jobs: Jobs, operator: OperatorProcess, site: DemoSite) -> None:
    """What a person deletes does not lie around until its time is over."""
    jobs.apply("gone", single={"url": site.base_url + "/"}, priority="High")
    stored = Path(unquote(urlparse(jobs.finished("gone")["resultURL"]).path))
    assert stored.is_file()
    jobs.kubectl("delete", "crawljob", "gone")
    wait_until(lambda: not stored.exists(), "the result goes", 10)
