"""A job waits: the one reason why, written once per reason, in the cluster's own words where it is the cluster's."""

from datetime import datetime
from typing import Final

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.status import ConditionType, CrawlJobStatus, Phase
from crawl_operator.decide.conditions import Conditions
from crawl_operator.decide.dependencies import unmet
from crawl_operator.decide.model import NOTHING, Observation, Plan, Policy, RecordEvent
from crawl_operator.decide.running import accepted

HOLDS: Final = {
    "JobSuspended": "WorkerSuspended",
    "Unschedulable": "PodUnschedulable",
    "ErrImagePull": "ImagePullFailed",
    "ImagePullBackOff": "ImagePullFailed",
    "ErrImageNeverPull": "ImagePullFailed",
    "InvalidImageName": "ImagePullFailed",
    "CreateContainerConfigError": "WorkerNotStartable",
    "CreateContainerError": "WorkerNotStartable",
    "RunContainerError": "WorkerNotStartable",
}
"""Why a worker does not start: the cluster's word → the reason in our `Scheduled` condition, one per kind of hold."""


def for_dependencies(observation: Observation, spec: CrawlJobSpec, now: datetime) -> Plan | None:
    """Wait for other jobs; None once all have ended, or the job has run before."""
    if not spec.depends_on or observation.job.status.attempts:
        return None
    message = unmet(spec.depends_on, observation.dependencies)
    return Plan(waiting(observation, Phase.PENDING, "DependencyNotMet", message, now)) if message else None


def until_due(observation: Observation, spec: CrawlJobSpec, now: datetime) -> Plan | None:
    """Wait for the job's own start time, then for the time of its retry; None once both have come."""
    status = observation.job.status
    if spec.scheduled_at is not None and now < spec.scheduled_at:
        message = f"starts at {shown(spec.scheduled_at)} (spec.scheduledAt)"
        delayed = waiting(observation, Phase.DELAYED, "StartTimeNotReached", message, now)
        return Plan(delayed, requeue_after=(spec.scheduled_at - now).total_seconds())
    if status.phase is Phase.RETRY and status.next_retry_at is not None and now < status.next_retry_at:
        return Plan(requeue_after=(status.next_retry_at - now).total_seconds())
    return None


def for_a_place(observation: Observation, policy: Policy, now: datetime) -> Plan:
    """No place is free: say so, if it takes longer than a moment."""
    job, admission = observation.job, observation.admission
    waited = (now - job.created).total_seconds()
    if job.phase is Phase.PENDING and waited < policy.patience:
        return Plan(requeue_after=policy.patience - waited, in_line=True)
    return Plan(waiting(observation, Phase.PENDING, admission.reason, admission.message, now), in_line=True)


def refused(observation: Observation, now: datetime) -> Plan:
    """The cluster takes no worker for this job (a quota, an admission policy): say what it said."""
    if _said(observation.job.status, "WorkerRefused"):
        return NOTHING
    event = RecordEvent("WorkerRefused", observation.refusal)
    return Plan(waiting(observation, Phase.PENDING, event.reason, event.message, now), (event,))


def held(observation: Observation, word: str, message: str, now: datetime) -> Plan:
    """The worker exists and does not start: say why, once, however often the cluster rewords it."""
    reason = HOLDS.get(word)
    if reason is None or _said(observation.job.status, reason):
        return NOTHING
    event = RecordEvent(reason, message or word)
    return Plan(waiting(observation, Phase.PENDING, event.reason, event.message, now), (event,))


def suspended(observation: Observation, now: datetime) -> CrawlJobStatus:
    """Return the status of a job that a person holds."""
    message = "held by spec.suspend; it goes on from where it is when that is false again"
    return waiting(observation, Phase.SUSPENDED, "Suspended", message, now)


def waiting(observation: Observation, phase: Phase, reason: str, message: str, now: datetime) -> CrawlJobStatus:
    """Return the status of a job that waits in a phase for a reason."""
    status = accepted(observation)
    conditions = (
        Conditions(status.conditions, status.observed_generation, now)
        .false(ConditionType.SCHEDULED, reason, message)
        .true(ConditionType.RECONCILING, reason, message)
    )
    kept = status.next_retry_at if phase in (Phase.RETRY, Phase.SUSPENDED) else None
    return status.model_copy(update={"phase": phase, "conditions": conditions.all, "next_retry_at": kept})


def _said(status: CrawlJobStatus, reason: str) -> bool:
    condition = status.condition(ConditionType.SCHEDULED)
    return condition is not None and condition.reason == reason


def shown(moment: datetime) -> str:
    """Write a time as Kubernetes does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
