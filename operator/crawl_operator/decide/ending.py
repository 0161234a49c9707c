"""How a job ends: the final status, made from the worker's outcome or from what the cluster says in its place."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from crawl_api.status import (
    MAX_ERRORS,
    Attempt,
    Cause,
    Condition,
    ConditionType,
    CrawlJobStatus,
    JobError,
    Phase,
    Progress,
    Result,
)
from crawl_api.worker_protocol import AttemptFailure, Outcome
from crawl_operator.decide.conditions import Conditions
from crawl_operator.decide.model import Plan, RecordEvent
from crawl_operator.decide.progress import percent_done, progress_of


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a job's attempt, and all that is to be said of it."""

    status: CrawlJobStatus
    """The job's status, brought up to the moment before the end."""
    outcome: Outcome | None
    """What the worker said; None if it said nothing."""
    failure: AttemptFailure | None
    """Why the attempt failed as a whole."""
    finished: datetime
    now: datetime
    phase: Phase
    """What the job comes to."""

    @property
    def well(self) -> bool:
        """Whether it comes to something good."""
        return self.phase in (Phase.COMPLETED, Phase.PARTIAL_SUCCESS)

    @property
    def reason(self) -> str:
        """One word for it."""
        return self.failure.code if self.failure is not None else self.phase.value

    @property
    def message(self) -> str:
        """One sentence for it."""
        if self.failure is not None:
            return self.failure.message
        if self.phase is Phase.CANCELLED:
            return "cancelled on request"
        return f"{self.outcome.succeeded} of {self.outcome.total} pages crawled" if self.outcome is not None else ""

    @property
    def elapsed_ms(self) -> int | None:
        """Milliseconds from start to end; None where nothing had started."""
        started = self.status.started_at
        return int((self.finished - started) / timedelta(milliseconds=1)) if started is not None else None

    @property
    def attempt_ms(self) -> int | None:
        """Milliseconds that the last attempt's worker ran; None where it never did."""
        closed = close_attempt(self.status.attempts, self.phase, self.failure, self.finished)
        last = closed[-1] if closed else None
        if last is None or last.started_at is None or last.finished_at is None:
            return None
        return max(int((last.finished_at - last.started_at) / timedelta(milliseconds=1)), 0)


def finish(ending: Ending) -> Plan:
    """Write the end of a job: phase, times, errors and result in one status."""
    errors, count = told_errors(ending.status, ending.outcome, ending.failure, ending.now)
    if ending.status.started_at is not None:  # by the clock of its node, which may be ahead of ours
        ending = replace(ending, finished=max(ending.finished, ending.status.started_at))
    result = _result(ending)
    status = ending.status.model_copy(
        update={
            "phase": ending.phase,
            "conditions": _conditions(ending, result),
            "progress": _progress(ending),
            "attempts": close_attempt(ending.status.attempts, ending.phase, ending.failure, ending.finished),
            "next_retry_at": None,
            "completed_at": ending.finished,
            "processing_time_ms": ending.elapsed_ms,
            "duration": human_duration(ending.elapsed_ms) if ending.elapsed_ms is not None else "",
            "errors": errors,
            "error_count": count,
            "last_error": errors[-1].message if errors else "",
            "parameters": (ending.outcome and ending.outcome.parameters) or ending.status.parameters,
            **kept_result(ending.status, ending.outcome, ending.finished),
            "result": result,
        }
    )
    if ending.phase is Phase.COMPLETED:
        return Plan(status)  # its conditions say it; an Event would be one more write for every happy job
    return Plan(status, (_event(ending, status.last_error),))


def _event(ending: Ending, last_error: str) -> RecordEvent:
    match ending.phase:
        case Phase.PARTIAL_SUCCESS:
            return RecordEvent(ending.reason, f"{ending.message}; the last error: {last_error}")
        case Phase.DEAD_LETTER:
            return RecordEvent("DeadLetter", f"no attempt is left; the last: {ending.reason}: {ending.message}")
        case _:
            return RecordEvent(ending.reason, ending.message, warning=ending.phase is not Phase.CANCELLED)


def human_duration(milliseconds: int) -> str:
    """Write a duration as kubectl does: 850ms, 12.3s, 1m12s, 2h5m."""
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest}s"
    return f"{minutes // 60}h{minutes % 60}m"


def told_errors(
    status: CrawlJobStatus, outcome: Outcome | None, failure: AttemptFailure | None, now: datetime
) -> tuple[tuple[JobError, ...], int]:
    """The pages' errors, oldest first, and the attempt's own at the end, unless one of them says the same."""
    told = outcome if outcome is not None else status
    if failure is None or (failure.code, status.attempt) in {(error.code, error.attempt) for error in told.errors}:
        return told.errors, max(told.error_count, len(told.errors))
    own = JobError(
        code=failure.code,
        message=failure.message,
        attempt=status.attempt,
        retryable=failure.cause is not Cause.PERMANENT,
        time=now,
    )
    return (*told.errors[: MAX_ERRORS - 1], own), max(told.error_count, len(told.errors)) + 1


def _progress(ending: Ending) -> Progress:
    before = ending.status.progress
    progress = progress_of(before, ending.outcome) if ending.outcome is not None else before
    percent = percent_done(before, progress, ended_well=ending.well)
    return progress.model_copy(update={"percent": percent, "summary": f"{percent}%"})


def close_attempt(
    attempts: tuple[Attempt, ...], outcome: Phase, failure: AttemptFailure | None, finished: datetime
) -> tuple[Attempt, ...]:
    """Return the attempts with the last one ended, unless it had ended before."""
    if not attempts or attempts[-1].outcome is not None:
        return attempts
    *before, last = attempts
    update: dict[str, object] = {"finished_at": finished, "outcome": outcome, "cause": None, "message": ""}
    if failure is not None:
        update |= {"cause": failure.cause, "message": failure.message}
    return (*before, last.model_copy(update=update))


def kept_result(status: CrawlJobStatus, outcome: Outcome | None, finished: datetime) -> dict[str, object]:
    """Return what changes in a status by what an attempt has stored: whatever comes later, that is not lost."""
    if outcome is None or outcome.stored is None:
        return {}
    result = Result(
        success=False,  # not before the end
        data=outcome.data,
        items=outcome.items,
        bytes=outcome.stored.bytes,
        sha256=outcome.stored.sha256,
        worker_id=status.worker_id,
        completed_at=finished,
    )
    return {"result": result, "result_url": outcome.stored.url}


def _result(ending: Ending) -> Result:
    """Return the last attempt's result, with the records of an earlier one where it stored none."""
    kept = kept_result(ending.status, ending.outcome, ending.finished).get("result") or ending.status.result
    result = kept if isinstance(kept, Result) else Result(success=False, worker_id=ending.status.worker_id)
    return result.model_copy(
        update={
            "success": ending.well,
            "error": ending.failure.message if ending.failure is not None else "",
            "processing_time_ms": ending.attempt_ms,
            "completed_at": ending.finished,
        }
    )


def _conditions(ending: Ending, result: Result) -> tuple[Condition, ...]:
    status, reason, message = ending.status, ending.reason, ending.message
    conditions = Conditions(status.conditions, status.observed_generation, ending.now)
    conditions = conditions.false(ConditionType.RECONCILING, reason, message)
    if ending.well:
        conditions = conditions.true(ConditionType.COMPLETE, reason, message)
    else:
        conditions = conditions.true(ConditionType.FAILED, reason, message)
        if ending.phase is not Phase.CANCELLED:  # what a person has stopped is not what a person must look after
            conditions = conditions.true(ConditionType.STALLED, reason, message)
    if result.sha256:
        stored = f"{result.items} records are stored"
        return conditions.true(ConditionType.RESULT_AVAILABLE, "Stored", stored).all
    return conditions.false(ConditionType.RESULT_AVAILABLE, "NoResult", "no result was stored").all
