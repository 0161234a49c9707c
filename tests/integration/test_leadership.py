"""Two operators and one Lease: one leads, the other takes over, and never do both write, whatever stops the first."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from api_proxy import ApiProxy, Call
from demo.pages import PAGES
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, wait_until
from service import Service

pytestmark = [pytest.mark.cluster, pytest.mark.faults]

LEASE, RENEW = 6, 2
SLACK = 2.0
"""Seconds that a busy machine may add to what is promised."""

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue")][:10]


@dataclass
class Pair:
    """The operator that leads, the one that stands by, and the way of each to the API server."""

    leader: OperatorProcess
    other: OperatorProcess
    ways: dict[OperatorProcess, ApiProxy]
    service: Service
    jobs: Jobs

    def await_takeover(self, seconds: float) -> None:
        """Wait until the other one leads."""
        wait_until(lambda: self.other.health("readyz")[0] == 200, "the other one leads", seconds, pause=0.02)

    def writes(self, operator: OperatorProcess, since: float = 0) -> list[Call]:
        """Return what an operator has sent to be written since then, its renewals of the lease aside."""
        return [call for call in self.ways[operator].tried_writes if call.at >= since and "/leases" not in call.path]

    def renewals(self, operator: OperatorProcess) -> list[float]:
        """Return when each renewal was sent that the API server took."""
        return [call.at for call in self.ways[operator].writes if "/leases" in call.path]

    def apply(self, site: DemoSite) -> dict[str, str]:
        """Start a job of each execution, to run for some 7 s, and see the first of its progress; return the workers."""
        urls = [site.url(path) for path in PATHS]
        for name, priority in (("pod", "High"), ("job", "Normal")):
            self.jobs.apply(name, batch={"urls": urls}, priority=priority, fetch={"concurrency": 1})
        for name in ("pod", "job"):
            wait_until(partial(self.moves, name), "it makes progress", 30)
        return {name: self.jobs.status(name)["workerId"] for name in ("pod", "job")}

    def moves(self, name: str) -> bool:
        """Tell whether a job has brought a page."""
        return bool(self.jobs.status(name)["progress"].get("succeeded"))

    def knows_both_ended(self, operator: OperatorProcess) -> bool:
        """Tell whether an operator has both jobs in its store as completed."""
        return 'crawl_operator_jobs{phase="Completed"} 2.0' in operator.health("metrics")[1]

    def finish(self, site: DemoSite, workers: dict[str, str]) -> None:
        """Wait for the jobs to end as if nothing had happened."""
        for name, worker in workers.items():
            status = self.jobs.finished(name)
            assert (status["phase"], status["workerId"]) == ("Completed", worker)
            assert status["progress"]["succeeded"] == len(PATHS)
            assert len(status["attempts"]) == 1
        assert {site.requests[path] for path in PATHS} == {len(workers)}, "each job fetched each page once"
        assert len(self.jobs.pods()) == len(workers), "one worker per job"


@pytest.fixture
def site() -> Iterator[DemoSite]:
    with DemoSite(delay=0.7) as running:
        yield running


@pytest.fixture
def pair(cluster: LocalCluster, jobs: Jobs, tmp_path: Path) -> Iterator[Pair]:
    cluster.kubectl("-n", "crawl-operator", "delete", "lease", "crawl-operator", "--ignore-not-found")
    with ExitStack() as stack:
        service = stack.enter_context(Service())
        ways: dict[OperatorProcess, ApiProxy] = {}
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            way = stack.enter_context(ApiProxy(cluster))
            settings: dict[str, Any] = {
                "namespaces": [jobs.namespace],
                "results": {"folder": str(tmp_path / "results")},
                "endpoint": {"url": service.url},
                "leadership": {"enabled": True, "leaseSeconds": LEASE, "renewSeconds": RENEW},
            }
            first = not ways  # it leads: the second one starts when it does
            operator = OperatorProcess(cluster, tmp_path / name, server=way.url, ready=first, **settings)
            ways[stack.enter_context(operator)] = way
            service.operators.append(operator)
        leader, other = ways
        wait_until(lambda: "leads" in other.health("readyz")[1], "the other one stands by", 20)
        yield Pair(leader, other, ways, service, jobs)


def test_one_leads_and_the_other_stands_by(pair: Pair, cluster: LocalCluster, site: DemoSite) -> None:
    """The one that stands by is live, not ready, sees everything and writes nothing."""
    pair.finish(site, pair.apply(site))
    holder = pair.jobs.cluster.kubectl(
        "-n", "crawl-operator", "get", "lease", "crawl-operator", "-o", "jsonpath={.spec.holderIdentity}"
    ).stdout
    assert pair.other.health("healthz") == (200, "ok\n")
    assert pair.other.health("readyz") == (503, f"standby: {holder} leads\n")
    assert pair.writes(pair.other) == []
    assert pair.ways[pair.other].writes == []
    assert pair.writes(pair.leader)
    for operator, leads in ((pair.leader, 1), (pair.other, 0)):
        assert f"crawl_operator_leader {leads}.0" in operator.health("metrics")[1]
        wait_until(partial(pair.knows_both_ended, operator), "both have the same in their store", 20)


def test_a_killed_leader_is_replaced_when_its_lease_has_run_out(pair: Pair, site: DemoSite) -> None:
    workers = pair.apply(site)
    pair.leader.kill()
    pair.await_takeover(LEASE + RENEW + SLACK)
    assert pair.renewals(pair.other)[0] > pair.renewals(pair.leader)[-1] + LEASE, "not before"
    pair.finish(site, workers)


def test_a_leader_that_ends_hands_over_at_once(pair: Pair, site: DemoSite) -> None:
    workers = pair.apply(site)
    pair.leader.send(signal.SIGTERM)
    pair.await_takeover(LEASE + RENEW + SLACK)
    assert pair.renewals(pair.other)[0] < pair.renewals(pair.leader)[-1] + LEASE, "it did not wait for the lease to end"
    assert pair.leader.wait() == 0
    assert "the lease is released" in pair.leader.log
    pair.finish(site, workers)


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_a_leader_that_is_cut_off_stops_before_another_may_lead(
    pair: Pair, site: DemoSite, how: Literal["refuse", "hang"]
) -> None:
    """It is busy writing progress all the while; from its last renewal on it has less than the lease's time."""
    workers = pair.apply(site)
    way = pair.ways[pair.leader]
    way.cut = how
    cut = time.monotonic()
    asked = cut
    while (status := pair.leader.health("readyz")[0]) != 503:
        assert asked < cut + 3 * LEASE, "it says so"
        assert status != 200 or asked < pair.renewals(pair.leader)[-1] + LEASE, "it knows before the time is over"
        time.sleep(0.02)
        asked = time.monotonic()
    stopped = time.monotonic()
    last = pair.renewals(pair.leader)[-1]
    assert "standby" in pair.leader.health("readyz")[1]
    assert pair.leader.health("healthz")[0] == 200
    pair.await_takeover(LEASE + RENEW + SLACK)
    first = pair.renewals(pair.other)[0]
    assert first > last + LEASE, "the other one had waited for the whole time"
    attempts = pair.writes(pair.leader, cut)
    assert attempts, "it went on trying"
    assert attempts[-1].at < last + LEASE, "but not once another might lead"
    way.cut = ""
    wait_until(lambda: "leads" in pair.leader.health("readyz")[1], "it stands by", 30)
    pair.finish(site, workers)
    assert pair.writes(pair.leader, stopped) == []
    late = [call for call in way.calls if call.at >= cut and call.method != "GET"]
    assert late == [], "nor did anything arrive late that was on its way"


def test_a_leader_that_was_stopped_and_goes_on_writes_nothing(pair: Pair, site: DemoSite) -> None:
    """SIGSTOP for longer than the lease, in the middle of its work: when it wakes it knows that it slept."""
    workers = pair.apply(site)
    pair.leader.send(signal.SIGSTOP)
    try:
        # A connection to a stopped process is accepted by the kernel and never answered: workers ask the other one.
        pair.service.operators.reverse()
        pair.await_takeover(LEASE + RENEW + SLACK)
    finally:
        woken = time.monotonic()
        pair.leader.send(signal.SIGCONT)
    wait_until(lambda: "leads" in pair.leader.health("readyz")[1], "it stands by", 20)
    pair.finish(site, workers)
    assert pair.writes(pair.leader, woken) == []
    assert pair.leader.health("healthz")[0] == 200
    pair.other.kill()
    wait_until(lambda: pair.leader.health("readyz")[0] == 200, "it leads again", LEASE + RENEW + SLACK)


def test_a_lease_that_may_not_be_used_is_said(cluster: LocalCluster, jobs: Jobs, tmp_path: Path) -> None:
    """It stands by, is live, and the probe gives the API server's own words."""
    settings: dict[str, Any] = {"leadership": {"enabled": True, "name": "another"}, "namespaces": [jobs.namespace]}
    with OperatorProcess(cluster, tmp_path, ready=False, **settings) as operator:
        wait_until(lambda: "forbidden" in operator.health("readyz")[1], "it says why", 20)
        assert operator.health("readyz")[1].startswith("standby: the lease cannot be had: GET /apis/coordination")
        assert operator.health("healthz") == (200, "ok\n")
