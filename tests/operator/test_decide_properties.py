"""What holds for every decision, whatever was observed: searched, not listed."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from operator_cases import (
    CREATED,
    POLICY,
    batch_of,
    carried_out,
    ended_pod,
    failure_by,
    make_batch_job,
    make_job,
    make_pod,
    outcome_of,
    page_error,
    running_pod,
    stored,
)

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.status import Cause, CrawlJobStatus, Phase
from crawl_api.worker_protocol import Outcome, ProgressReport, StoredResult
from crawl_operator.decide.crawljob import decide, newest
from crawl_operator.decide.marks import marks_of
from crawl_operator.decide.model import Admission, BatchJob, Job, Observation, StartWorker, WorkerPod

patient = settings(deadline=None)
"""Machines are shared: an example may take its time."""

MOVES = {
    Phase.PENDING: {Phase.PROCESSING, Phase.FAILED, Phase.CANCELLED, Phase.DELAYED, Phase.SUSPENDED},
    Phase.DELAYED: {Phase.PENDING, Phase.FAILED, Phase.CANCELLED, Phase.SUSPENDED},
    Phase.SUSPENDED: {Phase.PENDING, Phase.RETRY, Phase.CANCELLED},
    Phase.PROCESSING: {
        Phase.COMPLETED,
        Phase.PARTIAL_SUCCESS,
        Phase.RETRY,
        Phase.FAILED,
        Phase.DEAD_LETTER,
        Phase.CANCELLED,
        Phase.PENDING,
        Phase.SUSPENDED,
    },
    Phase.RETRY: {Phase.PENDING, Phase.CANCELLED, Phase.SUSPENDED},
} | {phase: {Phase.PENDING} for phase in Phase if phase.terminal}
"""The moves a job may make; the last ones only by request."""

HOLDS = ("", "ContainerCreating", "Unschedulable", "ErrImagePull", "ImagePullBackOff", "CreateContainerError")
ENDS = ("Error", "OOMKilled", "DeadlineExceeded", "Evicted", "StartError", "")


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    total = draw(st.integers(0, 5))
    succeeded = draw(st.integers(0, total))
    failure = draw(st.sampled_from([None, None, *(failure_by(cause) for cause in Cause)]))
    retryable = draw(st.integers(0, total - succeeded))
    kept = draw(st.sampled_from([None, StoredResult(url="file:///results", bytes=1, sha256="ab" * 32)]))
    return outcome_of(total, succeeded, failure=failure, retryable=retryable, stored=kept)


@st.composite
def pods(draw: st.DrawFn, attempt: int) -> WorkerPod:
    name = draw(st.sampled_from([f"news-abc-{attempt}", f"news-abc-{attempt}-x"]))
    version = draw(st.integers(20, 40))
    match draw(st.sampled_from(["held", "running", "ended", "failed"])):
        case "held":
            return make_pod(name, attempt=attempt, version=version, hold_reason=draw(st.sampled_from(HOLDS)))
        case "running":
            return running_pod(name, attempt=attempt, version=version, deleting=draw(st.booleans()))
        case "ended":
            return ended_pod(name, draw(outcomes()), attempt=attempt, version=version)
        case _:
            code, why = draw(st.sampled_from([0, 1, 137])), draw(st.sampled_from(ENDS))
            return ended_pod(name, attempt=attempt, version=version, end_reason=why, exit_code=code)


@st.composite
def batch_jobs(draw: st.DrawFn, attempt: int) -> BatchJob:
    completed, reason = draw(st.sampled_from([(False, ""), (True, ""), (False, "DeadlineExceeded")]))
    version = draw(st.integers(20, 40))
    return make_batch_job(attempt=attempt, version=version, completed=completed, failed_reason=reason)


@st.composite
def reports(draw: st.DrawFn) -> ProgressReport:
    total = draw(st.integers(0, 5))
    done = draw(st.integers(0, total + 1))
    failed = draw(st.integers(0, done))
    errors = tuple(page_error(each) for each in range(failed))
    return ProgressReport(total=total, succeeded=done - failed, failed=failed, errors=errors, error_count=len(errors))


def unique(children: list[WorkerPod]) -> tuple[WorkerPod, ...]:
    return tuple({pod.uid: pod for pod in {pod.version: pod for pod in children}.values()}.values())


STEPS = ("waited", "started", "told", "lost", "failed", "held", "delayed")


def step(job: Job, what: str, draw: st.DrawFn, now: datetime) -> Job:
    """Let one thing happen to a job, and the operator see it."""
    attempt = job.attempts_over + 1
    past = Observation(job, admission=Admission(granted=False, reason="ConcurrencyLimit", message="full"))
    match what:
        case "started" | "told":
            past = replace(past, pods=(running_pod(f"news-abc-{attempt}", attempt=attempt),))
            past = replace(past, report=draw(reports()) if what == "told" else None)
        case "lost" | "failed":
            end = "Evicted" if what == "lost" else "Error"
            past = replace(past, pods=(ended_pod(f"news-abc-{attempt}", attempt=attempt, end_reason=end),))
        case "held":
            past = replace(past, job=replace(job, spec=dict(job.spec) | {"suspend": True}))
        case "delayed" if not job.status.attempts:
            due = (now + timedelta(seconds=3)).isoformat()
            past = replace(past, job=replace(job, spec=dict(job.spec) | {"scheduledAt": due}))
        case _:
            pass
    plan = decide(past, POLICY, now)
    if plan.status is None or plan.status.phase.terminal:
        return job
    return replace(carried_out(past, plan).job, spec=job.spec)


@st.composite
def observations(draw: st.DrawFn) -> tuple[Observation, datetime]:
    """Any job that is not finished, as decisions themselves have left it, with anything that may be seen of it."""
    retry = {"maxAttempts": draw(st.sampled_from([1, 2, 3])), "initialDelaySeconds": 10}
    lever = draw(st.sampled_from([{}, {}, {"suspend": True}, {"cancel": True}]))
    spec = batch_of(draw(st.sampled_from([1, 5, 51]))) | {"retry": retry} | lever
    job: Job = make_job(spec=spec, requeue=draw(st.sampled_from(["", "1"])))
    now = CREATED + timedelta(seconds=draw(st.integers(0, 10)))
    for what in draw(st.lists(st.sampled_from(STEPS), max_size=4)):
        now += timedelta(seconds=3)
        job = step(replace(job, spec=batch_of(5) | {"retry": retry}), what, draw, now)
    job = replace(job, spec={"priority": job.priority.value} | spec, cancel=draw(st.sampled_from([False, False, True])))
    if job.phase in {Phase.PENDING, Phase.DELAYED} and not job.status.attempts and draw(st.integers(0, 9)) == 0:
        job = replace(job, spec=dict(job.spec) | {"scheduledAt": (now + timedelta(seconds=4)).isoformat()})
    attempt = job.attempts_over + 1
    return (
        Observation(
            job=job,
            pods=unique(draw(st.lists(pods(attempt), max_size=2))),
            batch_jobs=tuple(draw(st.lists(batch_jobs(attempt), max_size=1))),
            report=draw(st.none() | reports()),
            outcome=draw(st.none() | outcomes()) if job.phase is Phase.PROCESSING else None,
            admission=draw(
                st.sampled_from([Admission(granted=True), Admission(granted=False, reason="Full", message="full")])
            ),
            refusal=draw(st.sampled_from(["", "403 exceeded quota"])),
        ),
        now + timedelta(seconds=draw(st.sampled_from([0, 1, 5, 20, 2000]))),
    )


@patient
@given(observations())
def test_carrying_plans_out_comes_to_rest(case: tuple[Observation, datetime]) -> None:
    """Else the operator would write without end. Only the wish to look again later may stay.

    Some things take two steps: what has failed while it was held back first waits for its retry.
    """
    observation, now = case
    started = 0
    for _ in range(4):
        plan = decide(observation, POLICY, now)
        if plan.status is None and not plan.actions:
            break
        started += sum(isinstance(action, StartWorker) for action in plan.actions)
        observation = carried_out(observation, plan)
    assert decide(observation, POLICY, now).status is None
    assert decide(observation, POLICY, now).actions == ()
    assert started <= 1
    assert observation.job.marks == marks_of(observation.job.status), "the annotations follow"


@patient
@given(observations(), st.randoms())
def test_the_order_in_which_children_are_seen_does_not_matter(
    case: tuple[Observation, datetime], shuffle: random.Random
) -> None:
    observation, now = case
    shuffled = list(observation.pods)
    shuffle.shuffle(shuffled)
    assert decide(replace(observation, pods=tuple(shuffled)), POLICY, now) == decide(observation, POLICY, now)


@patient
@given(observations())
def test_every_move_is_an_allowed_one_and_stands_in_the_history(case: tuple[Observation, datetime]) -> None:
    """Without a gap, also where a start that nobody saw, or a wait that was over, had no write of its own."""
    observation, now = case
    before, status = observation.job.status, decide(observation, POLICY, now).status
    if status is None:
        return
    assert status.history[: len(before.history)] == before.history
    trail = [Phase.PENDING]
    for move in status.history:
        assert move.origin is trail[-1]
        assert move.to in MOVES[move.origin], (move.origin, move.to)
        trail.append(move.to)
    assert trail[-1] is status.phase
    assert all(move.time == now for move in status.history[len(before.history) :])


@patient
@given(observations())
def test_no_worker_is_started_for_who_is_held_back_or_waits(case: tuple[Observation, datetime]) -> None:
    observation, now = case
    job, plan = observation.job, decide(observation, POLICY, now)
    if not any(isinstance(action, StartWorker) for action in plan.actions):
        return
    spec = CrawlJobSpec.model_validate(job.spec)
    assert (job.cancel, spec.cancel, spec.suspend) == (False, False, False)
    assert not observation.pods
    assert spec.scheduled_at is None or now >= spec.scheduled_at
    assert job.status.next_retry_at is None or now >= job.status.next_retry_at
    (start,) = [action for action in plan.actions if isinstance(action, StartWorker)]
    assert start.attempt == job.attempts_over + 1, "a number is never used twice"


@patient
@given(observations())
def test_who_is_cancelled_or_held_is_said_to_be_so_only_without_a_worker(case: tuple[Observation, datetime]) -> None:
    observation, now = case
    status = decide(observation, POLICY, now).status
    if status is not None and status.phase in {Phase.CANCELLED, Phase.SUSPENDED}:
        newest_pod = newest(observation.pods)
        assert newest_pod is None or newest_pod.ended


@patient
@given(observations())
def test_progress_never_falls_and_is_100_only_at_a_good_end(case: tuple[Observation, datetime]) -> None:
    observation, now = case
    before, status = observation.job.status, decide(observation, POLICY, now).status
    if status is None:
        return
    if status.worker_id == before.worker_id:
        assert status.progress.percent >= before.progress.percent
    good = status.phase in (Phase.COMPLETED, Phase.PARTIAL_SUCCESS)
    assert (status.progress.percent == 100) is good


@patient
@given(observations())
def test_a_finished_job_says_so_in_every_place(case: tuple[Observation, datetime]) -> None:
    """Phase, end time, result, last attempt and conditions are written together or not at all."""
    observation, now = case
    status = decide(observation, POLICY, now).status
    if status is None:
        return
    ended = status.phase.terminal
    assert (status.completed_at is not None) is ended
    if ended:
        assert status.result is not None
        assert status.result.success is (status.phase in {Phase.COMPLETED, Phase.PARTIAL_SUCCESS})
        assert all(attempt.outcome is not None for attempt in status.attempts)
    elif status.result is not None:
        assert not status.result.success, "records of an attempt that is to be repeated"
        assert status.result_url
    conditions = {condition.type: condition.status for condition in status.conditions}
    assert (conditions.get("Complete") == "True" or conditions.get("Failed") == "True") is ended  # type: ignore[call-overload]
    assert (conditions["Reconciling"] == "False") is ended  # type: ignore[index]
    assert (status.next_retry_at is not None) >= (status.phase is Phase.RETRY)
    assert status.next_retry_at is None or status.phase in {Phase.RETRY, Phase.SUSPENDED}
    if status.started_at is not None and status.completed_at is not None:
        assert status.started_at <= status.completed_at


@patient
@given(observations())
def test_a_status_survives_the_way_to_the_api_server_and_back(case: tuple[Observation, datetime]) -> None:
    """What is written is valid by the API's own models, and nothing of it is lost."""
    observation, now = case
    status = decide(observation, POLICY, now).status
    if status is not None:
        assert stored(status) == status == CrawlJobStatus.model_validate(status.model_dump())
        assert status.updated_at == now
