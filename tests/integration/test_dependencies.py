"""Chains of jobs: each starts when what it needs has ended, whatever the order of their arrival."""

from datetime import datetime

import pytest

from demo.site import DemoSite
from operator_process import Jobs, OperatorProcess, condition, wait_until

pytestmark = pytest.mark.cluster


def test_a_chain_runs_in_its_order_and_a_broken_link_is_told(
    jobs: Jobs, operator: OperatorProcess, site: DemoSite
) -> None:
    """Applied backwards, with the operator killed in between; what depends on a failed job fails and says so."""
    page, dead = {"url": site.base_url + "/"}, {"url": site.base_url + "/nowhere"}
    jobs.apply("third", single=page, priority="High", dependsOn=[{"name": "second"}])
    jobs.apply("hopeless", single=page, priority="High", dependsOn=[{"name": "broken"}])
    jobs.apply("anyway", single=page, priority="High", dependsOn=[{"name": "broken", "condition": "Finished"}])
    wait_until(lambda: condition(jobs.status("third"), "Scheduled").get("reason") == "DependencyNotMet", "it says", 10)
    assert "second does not exist" in condition(jobs.status("third"), "Scheduled")["message"]
    jobs.apply("second", single=page, priority="High", dependsOn=[{"name": "first"}])
    operator.kill()
    operator.start()
    jobs.apply("first", single=page, priority="High")
    jobs.apply("broken", single=dead, priority="High")
    ended = {name: jobs.finished(name) for name in ("first", "second", "third", "hopeless", "anyway")}
    for before, after in (("first", "second"), ("second", "third")):
        assert ended[after]["phase"] == "Completed"
        assert datetime.fromisoformat(ended[before]["completedAt"]) <= datetime.fromisoformat(ended[after]["startedAt"])
    assert ended["anyway"]["phase"] == "Completed"
    assert ended["hopeless"]["phase"] == "Failed"
    assert condition(ended["hopeless"], "Failed")["reason"] == "DependencyFailed"
    assert "broken is Failed" in ended["hopeless"]["lastError"]


@pytest.mark.parametrize("needed", ["Complete", "Finished"])
def test_a_cycle_is_told(shared: Jobs, needed: str) -> None:
    """Two jobs that wait for each other fail, each with the chain, whatever end they wait for."""
    names = [f"{each}-{needed.lower()}" for each in ("hen", "egg")]
    for name, other in zip(names, reversed(names), strict=True):
        depends_on = [{"name": other, "condition": needed}]
        shared.apply(name, single={"url": "http://127.0.0.1:9/"}, priority="High", dependsOn=depends_on)
    for name, other in zip(names, reversed(names), strict=True):
        status = shared.finished(name)
        assert condition(status, "Failed")["reason"] == "DependencyCycle"
        assert f"{name} → {other} → {name}" in status["lastError"]
