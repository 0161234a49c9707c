"""What holds for every decision, whatever was observed: searched, not listed."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import Phase as Generation
from hypothesis import find, given, settings
from hypothesis import strategies as st
from operator_cases import (
    CREATED,
    POLICY,
    batch_of,
    ended_pod,
    make_batch_job,
    make_job,
    make_pod,
    outcome_of,
    page_error,
    running_pod,
    stored,
    timeout_failure,
)

from crawl_api.status import CrawlJobStatus, Phase
from crawl_api.worker_protocol import Outcome, ProgressReport
from crawl_operator.decide.capacity import admit
from crawl_operator.decide.crawljob import decide
from crawl_operator.decide.model import Admission, BatchJob, Job, Observation, Plan, StartWorker, WorkerPod

patient = settings(deadline=None)
"""Machines are shared: an example may take its time."""

MOVES = {
    Phase.PENDING: {Phase.PROCESSING, Phase.FAILED, Phase.CANCELLED},
    Phase.DELAYED: {Phase.PENDING, Phase.FAILED, Phase.CANCELLED},
    Phase.PROCESSING: {
        Phase.COMPLETED,
        Phase.PARTIAL_SUCCESS,
        Phase.RETRY,
        Phase.FAILED,
        Phase.DEAD_LETTER,
        Phase.CANCELLED,
        Phase.PENDING,
    },
    Phase.RETRY: {Phase.PENDING, Phase.CANCELLED},
}
"""The moves a job may make."""

HOLDS = ("", "ContainerCreating", "Unschedulable", "ErrImagePull", "ImagePullBackOff", "CreateContainerError")
ENDS = ("Error", "OOMKilled", "DeadlineExceeded", "Evicted", "StartError", "")


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    total = draw(st.integers(0, 5))
    succeeded = draw(st.integers(0, total))
    failure = draw(st.sampled_from([None, None, timeout_failure()]))
    return outcome_of(total, succeeded, failure=failure)


@st.composite
def pods(draw: st.DrawFn) -> WorkerPod:
    name = draw(st.sampled_from(["news-abc-1", "news-abc-1-x"]))
    version = draw(st.integers(20, 40))
    match draw(st.sampled_from(["held", "running", "ended", "failed"])):
        case "held":
            return make_pod(name, version=version, hold_reason=draw(st.sampled_from(HOLDS)))
        case "running":
            return running_pod(name, version=version)
        case "ended":
            return ended_pod(name, draw(outcomes()), version=version)
        case _:
            code = draw(st.sampled_from([0, 1, 137]))
            return ended_pod(name, version=version, end_reason=draw(st.sampled_from(ENDS)), exit_code=code)


@st.composite
def batch_jobs(draw: st.DrawFn) -> BatchJob:
    completed, reason = draw(st.sampled_from([(False, ""), (True, ""), (False, "DeadlineExceeded")]))
    return make_batch_job(version=draw(st.integers(20, 40)), completed=completed, failed_reason=reason)


@st.composite
def reports(draw: st.DrawFn) -> ProgressReport:
    total = draw(st.integers(0, 5))
    done = draw(st.integers(0, total + 1))
    failed = draw(st.integers(0, done))
    errors = tuple(page_error(each) for each in range(failed))
    return ProgressReport(total=total, succeeded=done - failed, failed=failed, errors=errors, error_count=len(errors))


def unique(children: list[WorkerPod]) -> tuple[WorkerPod, ...]:
    return tuple({pod.version: pod for pod in children}.values())  # no two versions are equal


@st.composite
def observations(draw: st.DrawFn) -> tuple[Observation, datetime]:
    """Any job that is not finished, as decisions themselves have left it, with anything that may be seen of it."""
    job: Job = make_job(spec=batch_of(draw(st.sampled_from([1, 5, 51]))))
    now = CREATED + timedelta(seconds=draw(st.integers(0, 10)))
    history = draw(st.sampled_from([(), ("waited",), ("started",), ("started", "told"), ("waited", "started")]))
    for step in history:
        now += timedelta(seconds=3)
        past = Observation(job, admission=Admission(granted=False, reason="ConcurrencyLimit", message="full"))
        if step != "waited":
            past = replace(past, pods=(running_pod(),))
        if step == "told":
            past = replace(past, report=draw(reports()))
        plan = decide(past, POLICY, now)
        if plan.status is not None and not plan.status.phase.terminal:
            status = stored(plan.status)
            job = replace(job, status=status, phase=status.phase)
    return (
        Observation(
            job=job,
            pods=unique(draw(st.lists(pods(), max_size=2))),
            batch_jobs=tuple(draw(st.lists(batch_jobs(), max_size=1))),
            report=draw(st.none() | reports()),
            outcome=draw(st.none() | outcomes()),
            admission=draw(
                st.sampled_from([Admission(granted=True), Admission(granted=False, reason="Full", message="full")])
            ),
            refusal=draw(st.sampled_from(["", "403 exceeded quota"])),
        ),
        now + timedelta(seconds=draw(st.integers(0, 5))),
    )


def carried_out(observation: Observation, plan: Plan) -> Observation:
    """Return what is seen once a plan was carried out and nothing else has happened."""
    if plan.status is not None:
        status = stored(plan.status)
        observation = replace(observation, job=replace(observation.job, status=status, phase=status.phase))
    if any(isinstance(action, StartWorker) for action in plan.actions):
        observation = replace(observation, pods=(make_pod(),))
    return observation


@patient
@given(observations())
def test_a_plan_carried_out_leaves_nothing_to_do(case: tuple[Observation, datetime]) -> None:
    """Else the operator would write without end. Only the wish to look again later may stay."""
    observation, now = case
    plan = decide(observation, POLICY, now)
    again = decide(carried_out(observation, plan), POLICY, now)
    assert again.status is None
    assert again.actions == ()


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
def test_every_move_is_an_allowed_one(case: tuple[Observation, datetime]) -> None:
    """A start that nobody saw is told with the end: both moves are then one write, and the start time is in it."""
    observation, now = case
    before, status = observation.job.phase, decide(observation, POLICY, now).status
    if status is None or status.phase is before:
        return
    if before is Phase.PENDING and status.attempts:
        assert status.worker_id
        before = Phase.PROCESSING
        if status.phase is before:
            return
    assert status.phase in MOVES[before]


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
    assert (status.result is not None) is ended
    conditions = {condition.type: condition.status for condition in status.conditions}
    assert (conditions.get("Complete") == "True" or conditions.get("Failed") == "True") is ended  # type: ignore[call-overload]
    assert (conditions["Reconciling"] == "False") is ended  # type: ignore[index]
    if ended and status.attempts:
        assert status.attempts[-1].outcome is status.phase
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


@patient
@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20))
def test_a_place_is_granted_exactly_if_those_ahead_leave_one(limit: int, running: int, ahead: int) -> None:
    admission = admit(running=running, limit=limit, ahead=ahead)
    assert admission.granted is (running + ahead + 1 <= limit)
    assert bool(admission.reason) is not admission.granted
    if not admission.granted:
        assert f"{limit} jobs may run at once (limits.running)" in admission.message


@pytest.mark.parametrize(
    "phase", [Phase.PENDING, Phase.PROCESSING, Phase.COMPLETED, Phase.PARTIAL_SUCCESS, Phase.FAILED]
)
def test_the_search_reaches_every_phase(phase: Phase) -> None:
    """The properties above hold of something."""

    def reached(case: tuple[Observation, datetime]) -> bool:
        status = decide(case[0], POLICY, case[1]).status
        return status is not None and status.phase is phase

    find(observations(), reached, settings=settings(max_examples=1000, phases=[Generation.generate], database=None))
