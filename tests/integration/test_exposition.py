"""The exposition next to the objects: what is counted is what there is."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api_proxy import ApiProxy
from demo.pages import PAGES
from held_site import HeldSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, wait_until

pytestmark = pytest.mark.cluster

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue")][:3]
VERBS = {"POST": "create", "PATCH": "patch"}
ENDS = {"Completed": "completed", "PartialSuccess": "partial", "Failed": "failed"}


class Scrape:
    """One scrape of an operator."""

    def __init__(self, operator: OperatorProcess) -> None:
        status, text = operator.health("metrics")
        assert status == 200
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def sums(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """Sum a metric by some of its labels, leaving out what is 0."""
        found: Counter[tuple[str, ...]] = Counter()
        for sample in self._samples:
            if sample.name == f"crawl_operator_{name}" and sample.value:
                found[tuple(sample.labels[label] for label in labels)] += sample.value  # type: ignore[assignment]
        return found

    def value(self, name: str) -> float:
        return self.sums(name)[()]


def test_metrics_agree_with_the_objects(cluster: LocalCluster, jobs: Jobs, tmp_path: Path) -> None:
    """Jobs of every outcome, each counted once; while they run, and after a restart too."""
    with (
        HeldSite() as site,
        ApiProxy(cluster) as proxy,
        OperatorProcess(cluster, tmp_path, server=proxy.url, namespaces=[jobs.namespace]) as operator,
    ):
        good, bad = [site.url(path) for path in PATHS], site.base_url + "/nowhere"
        for name in ("running-pod", "running-job"):
            priority = "Critical" if name == "running-pod" else "Low"
            jobs.apply(name, single={"url": good[0]}, priority=priority, fetch={"timeoutSeconds": 90})
            jobs.running(name)
        # What is written can be read before the operator has the answer.
        wait_until(lambda: Scrape(operator).sums("jobs", "phase") == {("Processing",): 2}, "both are counted", 20)
        scrape = Scrape(operator)
        assert scrape.sums("jobs_running", "priority") == {("Critical",): 1, ("Low",): 1}
        assert scrape.sums("workers", "state") == {("Running",): 2}
        site.open()

        jobs.apply("one", single={"url": good[0]}, priority="High")
        jobs.apply("all", batch={"urls": good})
        jobs.apply("some", batch={"urls": [*good, bad]}, priority="High")
        jobs.apply("none", batch={"urls": [bad]}, priority="High")
        jobs.apply("refused", batch={"urls": [f"{site.base_url}/{number}" for number in range(51)]})
        names = ("one", "all", "some", "none", "refused", "running-pod", "running-job")
        ended = {name: jobs.finished(name) for name in names}

        phases: Counter[tuple[str, ...]] = Counter((status["phase"],) for status in ended.values())
        scrape = _when_all_is_counted(operator, proxy, phases)
        specs = {name: jobs.get(name)["spec"] for name in names}
        assert Counter(status["phase"] for status in ended.values()) == {
            "Completed": 4, "PartialSuccess": 1, "Failed": 2,
        }  # fmt: skip
        for phase, word in ENDS.items():
            assert scrape.sums(f"jobs_{word}_total", "type", "priority") == Counter(
                (specs[name]["type"], specs[name]["priority"]) for name in names if ended[name]["phase"] == phase
            )
        assert scrape.sums("jobs_submitted_total", "type", "priority") == Counter(
            (spec["type"], spec["priority"]) for spec in specs.values()
        )
        assert scrape.sums("jobs", "phase") == phases
        took = {name: status["processingTimeMs"] for name, status in ended.items() if "processingTimeMs" in status}
        assert set(names) - set(took) == {"refused"}
        assert scrape.value("job_processing_seconds_count") == len(took)
        assert scrape.value("job_processing_seconds_sum") == pytest.approx(sum(took.values()) / 1000)
        assert not scrape.sums("jobs_running", "priority")
        assert not scrape.sums("jobs_waiting", "priority")
        assert (scrape.value("places"), scrape.value("leader"), scrape.value("build_info")) == (4, 1, 1)
        _api_calls_agree(scrape)
        reports = scrape.sums("worker_reports_total", "kind", "code")
        assert reports["outcome", "204"] == len(took)
        assert reports["results", "201"] == len(took)
        assert scrape.value("reconcile_duration_seconds_count") > 3 * len(names)
        assert ("unexpected",) not in scrape.sums("reconcile_errors_total", "reason")
        assert scrape.value("event_loop_lag_seconds_count") > 5

        operator.stop()
        operator.start()
        scrape = Scrape(operator)
        assert scrape.sums("jobs", "phase") == phases, "what follows from the objects is the same"
        for word in ("submitted", *ENDS.values()):
            assert not scrape.sums(f"jobs_{word}_total", "type"), "what is counted since the start begins anew"


def _when_all_is_counted(operator: OperatorProcess, proxy: ApiProxy, phases: Counter[tuple[str, ...]]) -> Scrape:
    """Wait until the jobs have ended for the operator too, every write of it is counted, and none is under way.

    Every write is counted by its verb, its resource and its answer, as it went over the wire.
    """
    found: list[Scrape] = []

    def agrees() -> bool:
        scrape = Scrape(operator)
        found[:] = [scrape]
        ended = scrape.sums("jobs", "phase") == phases and not scrape.sums("workers", "state")
        counted = scrape.sums("api_requests_total", "verb", "resource", "code")
        writes = Counter({key: count for key, count in counted.items() if key[0] in VERBS.values()})
        return ended and writes == _over_the_wire(proxy)

    wait_until(agrees, "all is counted as it went over the wire", 30)
    return found[0]


def _over_the_wire(proxy: ApiProxy) -> Counter[tuple[str, ...]]:
    wire: Counter[tuple[str, ...]] = Counter()
    for call in proxy.tried_writes:
        path: Any = call.path.split("/")
        resource = f"{path[-3]}/status" if path[-1] == "status" else path[-1]
        wire[VERBS[call.method], resource, str(call.status)] += 1
    return wire


def _api_calls_agree(scrape: Scrape) -> None:
    """Nothing is listed twice, and what is counted is timed."""
    counted = scrape.sums("api_requests_total", "verb", "resource", "code")
    assert counted["list", "pods", "200"] == 1
    durations = scrape.sums("api_request_duration_seconds_count", "verb", "resource")
    assert sum(durations.values()) == sum(counted.values())
