"""What holds for a schedule whatever happens to it: crashes after any write, a second operator that sees old things."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from operator_cases import POLICY
from schedule_cases import NOON, World, make_schedule, world

from crawl_api.status import Phase
from crawl_api.timetable import timetable
from crawl_operator.decide.run import Run
from crawl_operator.decide.schedule import decide
from crawl_operator.decide.schedule_model import DeleteRun, Schedule, ScheduleObservation, StartRun

patient = settings(deadline=None)

LINES = ("* * * * *", "*/5 * * * *", "0 * * * *", "30 2 * * *", "@daily")
POLICIES = ("Allow", "Forbid", "Replace")
ENDS = [Phase.COMPLETED, Phase.FAILED, Phase.DEAD_LETTER, Phase.CANCELLED]

specs = st.fixed_dictionaries(
    {"schedule": st.sampled_from(LINES), "concurrencyPolicy": st.sampled_from(POLICIES)},
    optional={
        "timeZone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
        "startingDeadlineSeconds": st.sampled_from([0, 30, 3600]),
        "suspend": st.just(True),  # noqa: FBT003 - a value of the spec
        "successfulJobsHistoryLimit": st.integers(0, 2),
        "failedJobsHistoryLimit": st.integers(0, 2),
    },
)
pauses = st.sampled_from([0, 1, 59, 60, 61, 600, 3599, 3600, 7200, 86_400, 10 * 86_400]).map(
    lambda seconds: timedelta(seconds=seconds)
)


@dataclass
class Operator:
    """An operator with a memory of its own, which may be older than what is."""

    schedule: Schedule
    runs: dict[str, Run] = field(default_factory=dict)


class Schedules(RuleBasedStateMachine):
    """One schedule, two operators that may both act, and everything that may come in between."""

    world: World
    operators: tuple[Operator, Operator]

    @initialize(spec=specs)
    def begin(self, spec: dict[str, object]) -> None:
        self.world = World(make_schedule(NOON, **spec), NOON)
        self.operators = (Operator(self.world.schedule), Operator(self.world.schedule))
        self.edited = False

    @rule(which=st.integers(0, 1), writes=st.integers(1, 4), lost=st.booleans())
    def act(self, which: int, writes: int, lost: bool) -> None:  # noqa: FBT001 - drawn
        """An operator does some of what it would do; of the last write it may not hear, or it crashes there."""
        operator, here = self.operators[which], self.world
        for number in range(writes):
            runs = tuple(sorted(operator.runs.values(), key=lambda run: run.order))
            plan = decide(ScheduleObservation(operator.schedule, runs), POLICY, here.now)
            if plan.status is None and not plan.actions:
                return
            here.carry_out(plan, operator.schedule)
            if any(isinstance(action, DeleteRun) for action in plan.actions):
                self.hear(self.operators[1 - which])  # no watch is behind by the whole life of a run
            if lost and number == writes - 1:
                return
            self.hear(operator)

    @rule(which=st.integers(0, 1))
    def see(self, which: int) -> None:
        """Its watch, or a list after a start, brings it up to date."""
        self.hear(self.operators[which])

    def hear(self, operator: Operator) -> None:
        operator.schedule = self.world.schedule
        counted = operator.schedule.status.execution_count
        gone = {
            name: replace(run, gone=True)
            for name, run in operator.runs.items()
            if name not in self.world.runs and run.number > counted
        }
        operator.runs = dict(self.world.runs) | gone

    @rule(pause=pauses)
    def wait(self, pause: timedelta) -> None:
        self.world.now += pause

    @rule(back=st.sampled_from([1, 60, 3600]))
    def set_back(self, back: int) -> None:
        self.world.now -= timedelta(seconds=back)

    @rule(phase=st.sampled_from(ENDS))
    def end(self, phase: Phase) -> None:
        self.world.end(phase)

    @rule(value=st.sampled_from(["", "one", "two"]))
    def ask(self, value: str) -> None:
        self.world.ask(value)

    @rule(spec=specs)
    def edit(self, spec: dict[str, object]) -> None:
        before = self.world.schedule.spec
        dropped = dict.fromkeys(set(before) - set(spec) - {"jobTemplate"})
        self.world.edit(**dropped, **spec)
        self.edited = True

    @invariant()
    def one_run_per_slot(self) -> None:
        slots = [run.slot for run in self.world.made if run.slot is not None]
        assert len(slots) == len(set(slots))

    @invariant()
    def none_is_early(self) -> None:
        assert all(run.slot <= run.created for run in self.world.made if run.slot is not None)

    @invariant()
    def nothing_is_counted_twice(self) -> None:
        assert self.world.status.execution_count <= len(self.world.made)

    @precondition(lambda self: self.world.made)
    @rule()
    def come_to_rest(self) -> None:
        """Left alone with the truth, it counts every run that was made, and every other slot up to now as missed."""
        here = self.world
        gone = {run.name for run in here.made} - set(here.runs)
        for operator in self.operators:
            self.hear(operator)
        deleted = len(here.deleted)
        here.settle(limit=20)
        if len(here.deleted) > deleted:
            for operator in self.operators:
                self.hear(operator)  # as in `act`: no watch is behind by the whole life of a run
        seen = [run for run in here.made if run.name not in gone]
        assert here.status.execution_count >= len(seen)
        assert here.status.execution_count <= len(here.made)


Schedules.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSchedules = Schedules.TestCase


@patient
@given(specs, st.lists(st.tuples(pauses, st.sampled_from(["", "end", "crash"])), max_size=12))
def test_every_slot_is_run_missed_or_still_open(spec: dict[str, object], story: list[tuple[timedelta, str]]) -> None:
    """With one operator, that may crash between a run and its count, the totals are exact to the last one."""
    spec = {name: value for name, value in spec.items() if name != "suspend"}
    here = world(NOON, **spec)
    table = timetable(str(spec["schedule"]), str(spec.get("timeZone", "UTC")))
    for pause, event in story:
        here.now += pause
        if event == "end":
            here.end()
        if event == "crash":
            here.carry_out(here.plan())
            continue
        here.settle()
    here.settle()
    due = table.count(NOON, here.now)
    open_ = table.count(here.status.decided_until or NOON, here.now)
    executed, missed = here.totals
    assert executed == len(here.made)
    assert executed + missed + open_ == due
    assert open_ <= (1 if spec["concurrencyPolicy"] == "Forbid" else 0)


@patient
@given(specs, st.lists(pauses, max_size=6), st.sampled_from(["", "now"]))
def test_carrying_plans_out_comes_to_rest(spec: dict[str, object], story: list[timedelta], trigger: str) -> None:
    """Else the operator would write without end."""
    here = world(NOON, **spec)
    here.ask(trigger)
    for pause in story:
        here.now += pause
        here.settle()
        plan = here.plan()
        assert plan.status is None
        assert plan.actions == ()
        assert plan.requeue_after is None or plan.requeue_after > 0
        again: datetime = here.now
        if plan.requeue_after is not None:
            here.now = again + timedelta(seconds=plan.requeue_after)
            assert here.plan().status is not None or here.plan().actions, "it is looked at for a reason"
            here.now = again


@patient
@given(specs, st.lists(pauses, max_size=4))
def test_a_run_and_a_deletion_are_never_asked_for_at_once(spec: dict[str, object], story: list[timedelta]) -> None:
    """One write may fail, and what follows is decided from what came of it."""
    here = world(NOON, **spec)
    for pause in story:
        here.now += pause
        for _ in range(10):
            plan = here.plan()
            starts = [action for action in plan.actions if isinstance(action, StartRun)]
            assert len(starts) <= 1
            if starts:
                assert plan.status is None
                assert not any(isinstance(action, DeleteRun) for action in plan.actions)
            here.carry_out(plan)
