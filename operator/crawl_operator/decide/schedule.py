"""The life of one schedule: what to do next, read from top to bottom. The first step that applies decides.

Every step is one write: a run made, a run deleted, or a status that counts what was made and missed. What is counted
follows from the runs that are there and from `status.decidedUntil`, so a step that is repeated changes nothing more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from crawl_api.schedule import (
    MAX_MISSED,
    MissedSlot,
    ScheduleConditionType,
    ScheduledCrawlJobStatus,
)
from crawl_api.status import ConditionStatus
from crawl_api.timetable import BadLineError, timetable
from crawl_operator.decide.model import Policy, RecordEvent
from crawl_operator.decide.run import Run
from crawl_operator.decide.schedule_model import DeleteRun, ScheduleObservation, SchedulePlan, StartRun
from crawl_operator.decide.schedule_status import Fault, Rules, Scene, faulty, read_rules, seen, told
from crawl_operator.decide.waiting import shown

NOTHING: Final = SchedulePlan()

_WHY: Final = {
    "ConcurrencyForbidden": "an earlier run had not ended (concurrencyPolicy Forbid)",
    "DeadlineExceeded": "the time of startingDeadlineSeconds was over",
    "RunRefused": "the cluster took no run",
    "Superseded": "a later one was due before it could be made",
}
"""Why a run that was due was not made: the reasons that are counted, in words."""

REASONS: Final = tuple(_WHY)


def decide(observation: ScheduleObservation, policy: Policy, now: datetime) -> SchedulePlan:
    """Return what shall be done about a schedule, given all that is known about it.

    Calling it again after its plan was carried out, with nothing else changed, changes nothing more.
    """
    schedule = observation.schedule
    if schedule.deleting:
        return NOTHING  # the garbage collector deletes its runs, unless they shall be orphans
    rules = read_rules(schedule, policy)
    if isinstance(rules, Fault):
        return _finished(observation, None, _refuse(observation, rules, now))
    try:
        table = timetable(rules.line, rules.zone)
    except BadLineError as error:
        fault = Fault(error.reason, f"{error.field}: {error}")
        return _finished(observation, None, _refuse(observation, fault, now))
    return _finished(observation, rules, _step(Scene(observation, rules, table, now)))


def _step(scene: Scene) -> SchedulePlan:
    return (
        _count_runs(scene)
        or _take_line(scene)
        or _resume(scene)
        or _on_request(scene)
        or _by_line(scene)
        or SchedulePlan(told(scene, scene.before), requeue_after=scene.until_next)
    )


def _count_runs(scene: Scene) -> SchedulePlan | None:
    """Count the runs that were made, whoever made them, before anything else is decided."""
    made, before = [run for run in scene.runs if _is_new(run, scene)], scene.before
    if not made:
        return None
    slots = {run.slot for run in made if run.slot is not None}
    # Another operator may have given one of them up while this one made it.
    missed = tuple(each for each in before.last_missed if each.slot not in slots)
    status = before.model_copy(
        update={
            "execution_count": max(before.execution_count + len(made), *(run.number for run in made)),
            "missed_count": max(before.missed_count - (len(before.last_missed) - len(missed)), 0),
            "last_missed": missed,
            "last_run": max(made, key=lambda run: run.number).name,
            "last_executed_at": max(run.created for run in made),
            "decided_until": max(scene.since, *slots) if slots else scene.since,
            "triggered": _obeyed(made, scene),
        }
    )
    return SchedulePlan(told(scene, status), tuple(_made(run) for run in made if not run.gone))


def _is_new(run: Run, scene: Scene) -> bool:
    """Tell whether a run has not been counted."""
    before = scene.before
    if not run.number:
        return False
    if run.number > before.execution_count or (run.slot is not None and run.slot > scene.since):
        return True
    # Two operators may give one number to two runs: of that number the one that is named was counted.
    return run.number == before.execution_count and before.last_run not in {"", run.name}


def _obeyed(made: Sequence[Run], scene: Scene) -> str:
    """Return the value of the trigger annotation that was obeyed last, even if it was changed before that was seen."""
    before, wanted = scene.before, scene.schedule.trigger
    asked_for = [run for run in made if run.trigger]
    if not asked_for:
        return before.triggered
    last = max(asked_for, key=lambda run: (run.number, run.trigger == wanted))
    overtaken = last.number <= before.execution_count and before.triggered == wanted
    return before.triggered if overtaken else last.trigger


def _made(run: Run) -> RecordEvent:
    why = f"due at {shown(run.slot)}" if run.slot is not None else f"on request ({run.trigger!r})"
    return RecordEvent("RunCreated", f"made {run.name}, {why}", warning=False)


def _take_line(scene: Scene) -> SchedulePlan | None:
    """Take note of a new line or zone: it holds from now on, and from the beginning only if there was none before."""
    before, line = scene.before, f"{scene.rules.line} {scene.rules.zone}"
    if before.observed_schedule == line and before.decided_until is not None:
        return None
    begin = scene.since if before.decided_until is None else max(scene.since, scene.now)
    status = before.model_copy(update={"observed_schedule": line, "decided_until": begin})
    return SchedulePlan(told(scene, status))


def _resume(scene: Scene) -> SchedulePlan | None:
    """No longer suspended: what was due meanwhile does not count, but the last of it is made up for, as of any."""
    suspended = scene.before.condition(ScheduleConditionType.SUSPENDED)
    if scene.rules.suspend or suspended is None or suspended.status is not ConditionStatus.TRUE:
        return None
    begin, due = suspended.last_transition_time, scene.open
    in_time = bool(due) and not (due[-1] > begin and scene.is_late(due[-1]))
    skipped = due[:-1] if in_time else due
    status = scene.before
    if skipped:
        until = min(begin, skipped[-1])
        if number := scene.table.count(scene.since, until):
            status = _missed(status, scene.table.latest(scene.since, until, MAX_MISSED), number, "Superseded")
        status = status.model_copy(update={"decided_until": skipped[-1]})
    return SchedulePlan(told(scene, status))


def _on_request(scene: Scene) -> SchedulePlan | None:
    """Make a run that a person asks for, suspended or not; the concurrency policy holds for it as for any."""
    if not scene.asked or scene.must_wait:
        return None
    return _start(scene, StartRun(scene.before.execution_count + 1, trigger=scene.asked))


def _by_line(scene: Scene) -> SchedulePlan | None:
    """Make the run that is due; of several the last, for at most one is made up for."""
    if scene.rules.suspend or not scene.open:
        return None
    *lost, slot = scene.open
    if lost:
        return _give_up(scene, lost, _reason(scene))
    if scene.is_late(slot):
        return _give_up(scene, [slot], _reason(scene) if scene.must_wait else "DeadlineExceeded")
    if scene.must_wait:
        return _hold(scene, slot)
    return _start(scene, StartRun(scene.before.execution_count + 1, slot=slot))


def _start(scene: Scene, start: StartRun) -> SchedulePlan:
    """Make a run, when those that it replaces are gone."""
    doomed = [run for run in scene.active if not run.deleting] if scene.replaces else []
    if doomed:
        names = ", ".join(run.name for run in doomed)
        event = RecordEvent("RunReplaced", f"{names} had not ended and is deleted for the next (Replace)")
        return SchedulePlan(None, (*(DeleteRun(run) for run in doomed), event))
    if scene.observation.refusal and scene.refused_before:
        return NOTHING  # said in other words, perhaps, but said
    if scene.observation.refusal:
        event = RecordEvent("RunRefused", scene.observation.refusal)
        return SchedulePlan(told(scene, scene.before, refusal=event.message), (event,))
    return SchedulePlan(None, (start,))


def _hold(scene: Scene, slot: datetime) -> SchedulePlan:
    """Wait for the run that goes on; whether this one is made afterwards or given up, time will tell."""
    names = ", ".join(run.name for run in scene.active)
    event = RecordEvent("RunStillActive", f"the run due at {shown(slot)} waits for {names} (Forbid)", warning=False)
    return SchedulePlan(told(scene, scene.before, waits=event.message), (event,), scene.until_next_or_late(slot))


def _give_up(scene: Scene, slots: Sequence[datetime], reason: str) -> SchedulePlan:
    """Count what was due and will not be made."""
    number = scene.table.count(scene.since, slots[-1])
    due = f"the run due at {shown(slots[-1])} was" if number == 1 else f"{number} runs due by {shown(slots[-1])} were"
    event = RecordEvent("RunMissed", f"{due} not made: {_WHY[reason]}")
    return SchedulePlan(told(scene, _missed(scene.before, slots, number, reason)), (event,))


def _missed(
    status: ScheduledCrawlJobStatus, slots: Iterable[datetime], number: int, reason: str
) -> ScheduledCrawlJobStatus:
    latest = tuple(MissedSlot(slot=slot, reason=reason) for slot in slots)
    return status.model_copy(
        update={
            "missed_count": status.missed_count + number,
            "last_missed": (*status.last_missed, *latest)[-MAX_MISSED:],
            "decided_until": latest[-1].slot,
        }
    )


def _reason(scene: Scene) -> str:
    """Say why what was due could not be made in its time."""
    if scene.must_wait:
        return "ConcurrencyForbidden"
    return "RunRefused" if scene.refused_before else "Superseded"


def _refuse(observation: ScheduleObservation, fault: Fault, now: datetime) -> SchedulePlan:
    """Say what is wrong with the schedule; nothing more happens until it is changed."""
    status = faulty(seen(observation), fault, observation.schedule.generation, now)
    return SchedulePlan(status, (RecordEvent(fault.reason, fault.message),))


def _finished(observation: ScheduleObservation, rules: Rules | None, plan: SchedulePlan) -> SchedulePlan:
    """Complete a plan by what goes beside it: ends of runs told, old runs deleted. A run that is due comes first."""
    if any(isinstance(action, StartRun) for action in plan.actions):
        return plan
    before = observation.schedule.status
    if plan.status == before:
        told_ = (action for action in plan.actions if not isinstance(action, RecordEvent))
        plan = replace(plan, status=None, actions=tuple(told_))
    ended = _ended(observation, plan.status) if plan.status is not None else ()
    surplus = _surplus(observation, rules) if rules is not None else ()
    return replace(plan, actions=(*plan.actions, *ended, *surplus))


def _ended(observation: ScheduleObservation, status: ScheduledCrawlJobStatus) -> tuple[RecordEvent, ...]:
    """Tell of the runs that go on no longer."""
    runs = {run.name: run for run in observation.runs if not run.gone}
    over = [name for name in observation.schedule.status.active if name not in status.active]
    return tuple(
        RecordEvent("RunEnded", f"{name}: {run.phase}", warning=not run.good)
        if (run := runs.get(name)) is not None
        else RecordEvent("RunGone", f"{name} was deleted before it ended")
        for name in over
        if name not in runs or not runs[name].active
    )


def _surplus(observation: ScheduleObservation, rules: Rules) -> tuple[DeleteRun, ...]:
    """Return the oldest of the finished runs, as many as are more than the history limits."""
    finished = [run for run in observation.runs if not (run.active or run.gone or run.deleting)]
    finished = [run for run in finished if run.number <= observation.schedule.status.execution_count]
    good = [run for run in finished if run.good]
    bad = [run for run in finished if not run.good]
    limits = ((good, rules.good_kept), (bad, rules.bad_kept))
    return tuple(DeleteRun(run) for runs, limit in limits for run in runs[: max(len(runs) - limit, 0)])
