"""Alerts, dashboard and ServiceMonitor, against the metrics that an operator really exposes, by name and label."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
from combinations import COMBINATIONS
from prometheus_client.parser import text_string_to_metric_families

from crawl_api.status import Phase
from helm import CHART, ROOT, Helm, Object, the
from local_cluster.cluster import LocalCluster
from operator_process import OperatorProcess

TARGET = {"job", "namespace", "instance", "pod"}
"""Labels that Prometheus adds to what it scrapes."""

ENTRIES = {"phase": {str(phase) for phase in Phase}}
"""Labels whose values are a closed list."""

Exposed = dict[str, set[str]]


@pytest.fixture(scope="module")
def exposed(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Exposed:
    """The names of a running operator's samples, with the labels of each."""
    found: Exposed = {}
    with OperatorProcess(cluster, tmp_path_factory.mktemp("operator"), namespaces=["default"]) as operator:
        text = operator.health("metrics")[1]
    documented = re.findall(r"^\| `(\w+)` \| \w+ \| (.*?) \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    labels = {name: set(re.findall(r"`(\w+)`", listed)) for name, listed in documented}
    for family in text_string_to_metric_families(text):
        # A counter of which nothing has been counted yet has no sample; its labels are documented.
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found.setdefault(name, set()).update(labels.get(name, ()))
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture(scope="module")
def everything(helm: Helm) -> list[Object]:
    return helm.render(COMBINATIONS["everything optional"])


@pytest.fixture(scope="module")
def alerts(everything: list[Object]) -> dict[str, Object]:
    (group,) = the(everything, "PrometheusRule")["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def selectors(node: Any) -> Iterator[promql.VectorSelector]:
    """Yield the metrics that an expression reads."""
    if isinstance(node, promql.VectorSelector):
        yield node
    elif isinstance(node, promql.MatrixSelector):
        yield node.vector_selector
    elif isinstance(node, promql.Call):
        for each in node.args:
            yield from selectors(each)
    else:
        for part in ("expr", "lhs", "rhs"):
            yield from selectors(getattr(node, part)) if hasattr(node, part) else ()


def _matchers(selector: promql.VectorSelector) -> dict[str, str]:
    return {matcher.name: matcher.value for matcher in selector.matchers.matchers}


def check(expression: str, exposed: Exposed) -> set[str]:
    """Check what an expression reads, and by which labels; return the metrics' names."""
    plain = expression.replace("$__rate_interval", "5m")
    found = list(selectors(promql.parse(plain)))
    assert found, expression
    grouped = re.findall(r"\bby \(([^)]*)\)", plain)
    for each in found:
        matchers = _matchers(each)
        pattern = each.name or matchers.pop("__name__")
        names = {name for name in exposed if re.fullmatch(pattern, name)}
        assert names, f"{pattern} is not exposed: {expression}"
        known = set.intersection(*(exposed[name] for name in names)) | TARGET
        assert set(matchers) <= known, expression
        for label, values in ENTRIES.items():
            assert set(matchers.get(label, "").split("|")) <= values | {""}, expression
        if len(found) == 1:
            for labels in grouped:
                assert {label.strip() for label in labels.split(",")} <= known, expression
    return {each.name for each in found if each.name}


@pytest.mark.cluster
def test_alerts_read_what_is_exposed(alerts: dict[str, Object], exposed: Exposed) -> None:
    for rule in alerts.values():
        names = check(rule["expr"], exposed)
        assert all(name.startswith("crawl_operator_") for name in names)


def test_there_is_an_alert_for_each_thing_that_somebody_must_know(alerts: dict[str, Object]) -> None:
    assert {
        "CrawlJobsFailed", "CrawlJobsPending", "CrawlJobsDeadLetter", "CrawlOperatorWatchStale", "CrawlOperatorDown",
    } <= set(alerts)  # fmt: skip
    assert alerts["CrawlJobsFailed"]["expr"].endswith("> 5"), "by values"
    assert alerts["CrawlJobsPending"]["expr"].endswith("> 1000"), "by default"
    for rule in alerts.values():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_alerts_and_the_monitor_speak_of_the_same_job(everything: list[Object], alerts: dict[str, Object]) -> None:
    """Prometheus calls a target's job after its Service: alerts of one release must not read another's."""
    monitor = the(everything, "ServiceMonitor")["spec"]
    (service,) = (
        each for each in everything if each["kind"] == "Service"
        and monitor["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
    )  # fmt: skip
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    wanted = {"job": service["metadata"]["name"], "namespace": service["metadata"]["namespace"]}
    for rule in alerts.values():
        for each in selectors(promql.parse(rule["expr"])):
            assert wanted.items() <= _matchers(each).items()


@pytest.mark.cluster
def test_the_dashboard_shows_what_is_exposed(everything: list[Object], exposed: Exposed) -> None:
    """All of it: each metric of the operator stands on some panel."""
    text = the(everything, "ConfigMap", "crawl-operator-dashboard")["data"]["crawl-operator.json"]
    assert json.loads(text) == json.loads((CHART / "files" / "dashboard.json").read_text())
    panels = json.loads(text)["panels"]
    shown: set[str] = set()
    for panel in panels:
        for target in panel["targets"]:
            shown |= check(target["expr"], exposed)
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    own = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in exposed if name.startswith("crawl_operator_")}
    assert own - base == set()
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)


@pytest.mark.cluster
def test_documented_queries_read_what_is_exposed(exposed: Exposed) -> None:
    rows = re.findall(r"^\| [^|`]+ \| `(.+)` \|$", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    assert len(rows) > 5
    for query in rows:
        check(query.replace(r"\|", "|"), exposed)


@pytest.mark.cluster
@pytest.mark.parametrize(
    "wrong",
    ["sum(crawl_operator_job)", 'crawl_operator_jobs{phase="Fialed"}', 'crawl_operator_jobs{state="Failed"}'],
)
def test_what_is_not_exposed_is_found_out(exposed: Exposed, wrong: str) -> None:
    with pytest.raises(AssertionError):
        check(wrong, exposed)
