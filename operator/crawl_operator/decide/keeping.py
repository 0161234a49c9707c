"""A finished job is kept for its time: first its result goes, then it goes itself."""

from datetime import datetime

from crawl_api.crawljob import Ttl
from crawl_operator.decide.model import NOTHING, DeleteJob, Job, Observation, Plan, Policy, RemoveResults
from crawl_operator.decide.retention import without_result


def keep(job: Job, policy: Policy, now: datetime) -> Plan:
    """Wait for the time of the result, then for that of the job, and delete it then."""
    removal = job.expiry.job if policy.delete_jobs else None
    if removal is not None and now >= removal:
        return Plan(actions=(RemoveResults(), DeleteJob()))
    due = min((moment for moment in (job.expiry.result, removal) if moment is not None), default=None)
    return Plan(requeue_after=max((due - now).total_seconds(), 0)) if due is not None else NOTHING


def expire(observation: Observation, now: datetime) -> Plan:
    """Remove a result whose time is over, and say so."""
    job = observation.job
    if job.expiry.result is None or now < job.expiry.result:
        return NOTHING
    ttl = Ttl.model_validate(job.spec.get("ttl", {}))
    # What is stored goes first: a crash in between leaves a status that is mended by doing both again.
    return Plan(without_result(job.status, ttl, now), (RemoveResults(),))
