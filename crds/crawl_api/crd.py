"""The CustomResourceDefinitions: the models' schemas with what only Kubernetes knows added to them.

The API server alone refuses what can be said here (no webhook): unions, ranges, lengths, immutability.
"""

from collections.abc import Iterable
from typing import Any, Final

from crawl_api.crawljob import CrawlJobSpec, union_message
from crawl_api.job_types import JobType
from crawl_api.names import GROUP, KIND, MAX_JOB_NAME, PLURAL, SCHEDULE_KIND, SCHEDULE_PLURAL, VERSION
from crawl_api.schedule import ScheduledCrawlJobSpec, ScheduledCrawlJobStatus
from crawl_api.schema import Schema, structural
from crawl_api.status import ConditionStatus, ConditionType, CrawlJobStatus, Phase

MUTABLE: Final = frozenset({"priority", "metadata", "suspend", "cancel", "ttl", "notify"})
"""Fields of the spec that may change after creation: `priority` until the job runs, the levers, whom to `notify`,
and `metadata`, which no rule can look into (CEL does not see fields of unknown type), without effect on the crawl."""

WAITING: Final = (Phase.PENDING, Phase.DELAYED, Phase.SUSPENDED)

_ONE_OWNER: Final = {"x-kubernetes-map-type": "atomic"}
"""The operator alone writes a status: the API server need not keep an owner of each field, a fifth of an object."""

Rule = dict[str, str]


def crawljob_crd() -> dict[str, Any]:
    """Return the definition of CrawlJob as the API server takes it."""
    spec = structural(CrawlJobSpec)
    spec["x-kubernetes-validations"] = [*_union_rules(), *_immutability_rules(spec)]
    status = structural(CrawlJobStatus) | _ONE_OWNER
    status["default"] = {"phase": Phase.PENDING.value, "progress": {"percent": 0}} | _initial_status("job")
    root = _root("A web crawl: what to fetch, how, and how far it is.", spec, status)
    root["x-kubernetes-validations"] = [_name_rule("the worker"), _priority_rule(), _dependency_rule()]
    selectable = (".spec.type", ".spec.priority", ".status.phase")
    return _definition(KIND, PLURAL, "crawl", root, _columns(), selectable)


def schedule_crd() -> dict[str, Any]:
    """Return the definition of ScheduledCrawlJob as the API server takes it."""
    spec = structural(ScheduledCrawlJobSpec)
    job = spec["properties"]["jobTemplate"]["properties"]["spec"]
    job["x-kubernetes-validations"] = _union_rules()  # a template may change: it concerns later runs
    status = structural(ScheduledCrawlJobStatus) | _ONE_OWNER
    status["default"] = _initial_status("schedule")
    root = _root("Web crawls by a cron line: what to run, and when.", spec, status)
    root["x-kubernetes-validations"] = [_name_rule("its runs")]
    return _definition(SCHEDULE_KIND, SCHEDULE_PLURAL, "scrawl", root, _schedule_columns(), (".spec.suspend",))


def _definition(  # noqa: PLR0913, PLR0917 - the parts of a definition
    kind: str, plural: str, short: str, root: Schema, columns: list[dict[str, Any]], selectable: Iterable[str]
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["crawls"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "selectableFields": [{"jsonPath": path} for path in selectable],
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


def _root(description: str, spec: Schema, status: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }


def _initial_status(what: str) -> Schema:
    """A new object is in progress for GitOps tools before the operator has written a word (and for free)."""
    return {
        "conditions": [
            {
                "type": ConditionType.RECONCILING.value,
                "status": ConditionStatus.TRUE.value,
                "reason": "AwaitingOperator",
                "message": f"the operator has not seen this {what} yet",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }
        ],
    }


def _union_rules() -> list[Rule]:
    return [
        {
            "rule": f"has(self.{job_type.value.lower()}) == (self.type == '{job_type.value}')",
            "message": union_message(job_type),
            "fieldPath": f".{job_type.value.lower()}",
        }
        for job_type in JobType
    ]


def _immutability_rules(spec: Schema) -> list[Rule]:
    rules = []
    for name, schema in spec["properties"].items():
        if name in MUTABLE:
            continue
        unchanged = f"self.{name} == oldSelf.{name}"
        if name not in spec.get("required", []) and "default" not in schema:
            unchanged = f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || {unchanged})"
        rules.append(
            {
                "rule": unchanged,
                "message": f"{name} cannot change after creation; create a new CrawlJob instead",
                "fieldPath": f".{name}",
            }
        )
    return rules


def _name_rule(bearer: str) -> Rule:
    return {
        "rule": f"self.metadata.name.size() <= {MAX_JOB_NAME}",
        "message": f"metadata.name must be no longer than {MAX_JOB_NAME} characters (it becomes a label of {bearer})",
    }


def _priority_rule() -> Rule:
    waiting = ", ".join(f"'{phase.value}'" for phase in WAITING)
    return {
        "rule": f"self.spec.priority == oldSelf.spec.priority || oldSelf.status.phase in [{waiting}]",
        "message": "priority cannot change once the job has run",
        "fieldPath": ".spec.priority",
    }


def _dependency_rule() -> Rule:
    return {
        "rule": "!has(self.spec.dependsOn) || self.spec.dependsOn.all(each, each.name != self.metadata.name)",
        "message": "dependsOn must not name the job itself",
        "fieldPath": ".spec.dependsOn",
    }


def _columns() -> list[dict[str, Any]]:
    reason = '.status.conditions[?(@.type=="Reconciling")].reason'
    return [
        {"name": "Type", "type": "string", "jsonPath": ".spec.type"},
        {"name": "Priority", "type": "string", "jsonPath": ".spec.priority"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Progress", "type": "string", "jsonPath": ".status.progress.summary"},
        {"name": "Retries", "type": "integer", "jsonPath": ".status.retryCount"},
        {"name": "Worker", "type": "string", "jsonPath": ".status.workerId"},
        {"name": "Reason", "type": "string", "jsonPath": reason, "priority": 1},
        {"name": "Result", "type": "string", "jsonPath": ".status.resultURL", "priority": 1},
        {"name": "Duration", "type": "string", "jsonPath": ".status.duration", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]


def _schedule_columns() -> list[dict[str, Any]]:
    ready = '.status.conditions[?(@.type=="Ready")].reason'
    return [
        {"name": "Schedule", "type": "string", "jsonPath": ".spec.schedule"},
        {"name": "Zone", "type": "string", "jsonPath": ".spec.timeZone"},
        {"name": "Suspended", "type": "boolean", "jsonPath": ".spec.suspend"},
        {"name": "Active", "type": "integer", "jsonPath": ".status.activeCount"},
        {"name": "Last", "type": "date", "jsonPath": ".status.lastExecutedAt"},
        # A text: kubectl shows no time to come as a date.
        {"name": "Next", "type": "string", "jsonPath": ".status.nextExecutionAt"},
        {"name": "Reason", "type": "string", "jsonPath": ready, "priority": 1},
        {"name": "Runs", "type": "integer", "jsonPath": ".status.executionCount", "priority": 1},
        {"name": "Missed", "type": "integer", "jsonPath": ".status.missedCount", "priority": 1},
        {"name": "Policy", "type": "string", "jsonPath": ".spec.concurrencyPolicy", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
