"""`ScheduledCrawlJob`: CrawlJobs made by a cron line. What a user asks for, and what the operator reports."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from crawl_api.base import ApiModel, Count, ShortText, SpecModel, Time, clipped
from crawl_api.crawljob import CrawlJobSpec
from crawl_api.cron import MAX_SCHEDULE, MAX_ZONE, Cron, Zone
from crawl_api.status import MAX_REQUEUE, BaseCondition, Reason

MAX_MISSED: Final = 10
MAX_ACTIVE: Final = 100
MAX_TRIGGER: Final = MAX_REQUEUE

_YEAR: Final = 366 * 86400


class ConcurrencyPolicy(StrEnum):
    """What happens when a run is due while another one goes on."""

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"


def _keys(kind: str, extra: str = "") -> dict[str, object]:
    """Return the rule of a map of labels or annotations, which the API server would else check run by run."""
    rule = f"self.all(key, !format.qualifiedName().validate(key).hasValue(){extra})"
    own = "self.all(key, !key.startsWith('crawl-operator.io/'))"
    return {
        "x-kubernetes-validations": [
            {"rule": rule, "message": f"must be valid {kind}"},
            {"rule": own, "message": "keys that begin with crawl-operator.io/ are the operator's"},
        ]
    }


_LABEL_VALUES: Final = " && !format.labelValue().validate(self[key]).hasValue()"


class TemplateMetadata(SpecModel):
    """What every run carries besides what the operator puts there."""

    labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(max_length=32, json_schema_extra=_keys("labels", _LABEL_VALUES)),
    ] = {}
    """Labels of the runs."""
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32, json_schema_extra=_keys("annotations"))
    ] = {}
    """Annotations of the runs."""


class JobTemplate(SpecModel):
    """What the CrawlJobs of a schedule are made of."""

    metadata: TemplateMetadata = TemplateMetadata()
    """Labels and annotations of the runs."""
    spec: CrawlJobSpec
    """The spec of each run, as of any CrawlJob. A change concerns the runs after it."""


class ScheduledCrawlJobSpec(SpecModel):
    """When runs are made, and of what."""

    schedule: Cron
    """A cron line: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly,
    @yearly. As CronJob understands it."""
    time_zone: Zone = "UTC"
    """The zone that the line is about, by its name in the IANA database, such as Europe/Berlin."""
    suspend: bool = False
    """While true no run is made but those that the trigger annotation asks for. Those under way go on."""
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.ALLOW
    """A run is due while another goes on. `Allow`: both. `Forbid`: it waits, and is skipped when the next is due.
    `Replace`: the one that goes on is deleted."""
    starting_deadline_seconds: Annotated[int, Field(ge=0, le=_YEAR)] | None = None
    """A run that could not be made within this time is skipped. Unset: it is made until the next one is due."""
    successful_jobs_history_limit: Annotated[int, Field(ge=0, le=100)] = 3
    """Runs kept that ended well; the oldest are deleted, also before their `ttl` is over."""
    failed_jobs_history_limit: Annotated[int, Field(ge=0, le=100)] = 1
    """Runs kept that did not: failed, cancelled and dead letters."""
    display_name: Annotated[str, StringConstraints(max_length=253)] = ""
    """Free text for people; the object's name stays a DNS label."""
    job_template: JobTemplate
    """What is run."""


class ScheduleConditionType(StrEnum):
    """The conditions of a schedule; they are about itself, never about how its runs end."""

    READY = "Ready"
    VALID = "Valid"
    SUSPENDED = "Suspended"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class ScheduleCondition(BaseCondition[ScheduleConditionType]):
    """One aspect of the state of a schedule."""


class MissedSlot(ApiModel):
    """A time at which a run was due and none was made."""

    slot: Time
    """When it was due."""
    reason: Reason
    """Why there was none: ConcurrencyForbidden, DeadlineExceeded, Superseded, RunRefused…"""


class ScheduledCrawlJobStatus(ApiModel):
    """The observed state of a schedule."""

    observed_generation: Count = 0
    """The generation of the spec that the operator has seen."""
    conditions: Annotated[
        tuple[ScheduleCondition, ...],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """What holds now, in the form that kubectl wait and GitOps tools read."""
    last_run: ShortText = ""
    """Name of the last run that was counted."""
    last_executed_at: Time | None = None
    """When the last run was made."""
    last_successful_at: Time | None = None
    """When the last run that ended well did."""
    next_execution_at: Time | None = None
    """When the next run is due; unset while suspended."""
    execution_count: Count = 0
    """Runs made so far, by the line and by the trigger annotation."""
    missed_count: Count = 0
    """Times at which a run was due and none was made. Those of a suspended schedule do not count."""
    last_missed: Annotated[tuple[MissedSlot, ...], Field(max_length=MAX_MISSED)] = ()
    """The latest of them, oldest first, at most 10."""
    active: Annotated[tuple[ShortText, ...], Field(max_length=MAX_ACTIVE)] = ()
    """Names of the runs that have not ended, oldest first, at most 100."""
    active_count: Count = 0
    """How many runs have not ended."""
    decided_until: Time | None = None
    """Every time up to this one at which a run was due is counted above; the next is sought after it."""
    observed_schedule: Annotated[str, clipped(MAX_SCHEDULE + MAX_ZONE + 1), Field(max_length=321)] = ""
    """The line and the zone that `decidedUntil` is about."""
    triggered: Annotated[str, clipped(MAX_TRIGGER), Field(max_length=MAX_TRIGGER)] = ""
    """The value of the trigger annotation that was last obeyed."""

    def condition(self, kind: ScheduleConditionType) -> ScheduleCondition | None:
        """Return the condition of that type, if it has been set."""
        return next((condition for condition in self.conditions if condition.type is kind), None)
