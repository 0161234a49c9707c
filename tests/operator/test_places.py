"""Places to run: never more than there are, the right one first, and nobody forgotten."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from operator_cases import NOW, make_job

from crawl_api.crawljob import Priority
from crawl_operator.decide.capacity import GRANTED, RunningLimits
from crawl_operator.decide.model import Job, JobKey
from crawl_operator.places import Places

LOW, NORMAL, HIGH, CRITICAL = Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.CRITICAL


class Line:
    """Places, and the names of those whose turn has come, as it comes."""

    def __init__(self, limits: RunningLimits) -> None:
        self.called: list[str] = []
        self.places = Places(limits, lambda key: self.called.append(key.name), lambda: NOW)

    def served(self) -> list[str]:
        """Let everybody run, one after the other, and return in which order."""
        names: list[str] = []
        while self.called:
            name = self.called.pop(0)
            names.append(name)
            job = make_job(name)
            self.places.reserve(job)
            self.places.release(job)
        return names


def line_of(*jobs: Job, limits: RunningLimits | None = None) -> Line:
    """Return places where jobs have come before any were granted."""
    line = Line(limits or RunningLimits(1))
    for job in jobs:
        line.places.wait(job)
    assert line.called == []
    line.places.open()
    return line


def job_of(name: str, priority: Priority = NORMAL, age: float = 0, namespace: str = "team") -> Job:
    created = NOW - timedelta(seconds=age)
    return replace(make_job(name, priority=priority, created=created), key=JobKey(namespace, name))


def live(job: Job) -> dict[str, Priority]:
    return {job.uid: job.priority}


def test_class_comes_first_then_age_then_name() -> None:
    in_order = [
        job_of("z-critical", CRITICAL, age=0),
        job_of("old-high", HIGH, age=9),
        job_of("new-high", HIGH, age=1),
        job_of("a-normal", NORMAL, age=5),
        job_of("b-normal", NORMAL, age=5),
        job_of("older-low", LOW, age=99),
    ]
    line = line_of(*reversed(in_order))
    assert line.places.waiting == 6
    assert line.served() == [job.key.name for job in in_order]


def test_who_asks_for_a_place_and_gets_it_is_not_woken_to_ask_again() -> None:
    """A job that waits for its start time asks each time it is looked at: it would be looked at for ever."""
    line = line_of()
    asking, other = job_of("asking"), job_of("other")
    assert line.places.admission(asking) is GRANTED
    assert line.called == []
    line.places.wait(other)
    line.places.leave(asking)
    assert line.called == ["other"], "but whoever does not ask is"


def test_who_waits_is_served_a_class_higher_for_each_ageing_time_but_never_as_critical() -> None:
    ageing = RunningLimits(1, ageing=60)
    in_order = [
        job_of("critical", CRITICAL, age=0),
        job_of("hour-old-low", LOW, age=3600),
        job_of("high", HIGH, age=100),
        job_of("two-minutes-old-low", LOW, age=90),
        job_of("normal", NORMAL, age=59),
        job_of("low", LOW, age=59),
    ]
    assert line_of(*reversed(in_order), limits=ageing).served() == [job.key.name for job in in_order]


def test_a_job_stands_in_line_once() -> None:
    line = line_of()
    for _ in range(3):
        line.places.wait(job_of("a"))
    assert line.places.waiting == 1
    line.places.leave(job_of("a"))
    line.places.leave(job_of("a"))
    assert line.places.waiting == 0


def test_a_changed_priority_changes_the_place_in_line() -> None:
    line = line_of(job_of("first", age=9), job_of("a", NORMAL), job_of("b", NORMAL))
    line.places.wait(job_of("b", CRITICAL))
    assert line.places.waiting == 3
    assert [line.places.waiting_of(each) for each in (CRITICAL, NORMAL)] == [1, 2]
    line.places.leave(job_of("first"))
    assert line.called[-1] == "b"


def test_a_class_that_is_full_keeps_places_for_the_others() -> None:
    """However many wait in it, and however old they are."""
    lows = [job_of(f"low{number}", LOW, age=500) for number in range(100)]
    line = line_of(*lows, limits=RunningLimits(3, of_class={LOW: 2}))
    assert line.called == ["low0", "low1"]
    line.places.wait(job_of("urgent", CRITICAL))
    assert line.called[2:] == ["urgent"]
    admission = line.places.admission(lows[50])
    assert (admission.granted, admission.reason) == (False, "ConcurrencyLimit")
    assert "limits.running" in admission.message, "by now all are taken"
    line.places.leave(job_of("urgent", CRITICAL))
    admission = line.places.admission(lows[50])
    assert (admission.granted, admission.reason) == (False, "ConcurrencyLimit")
    assert "2 jobs of priority Low" in admission.message
    assert "classes.Low.running" in admission.message


def test_a_namespace_that_is_full_holds_up_no_other() -> None:
    limits = RunningLimits(9, of_namespace={"big": 3}, per_namespace=1)
    jobs = [job_of(f"{space}{number}", age=9, namespace=space) for space in ("a", "big") for number in range(5)]
    line = line_of(*jobs, job_of("b0", namespace="b"), limits=limits)
    assert line.called == ["a0", "big0", "big1", "big2", "b0"]
    admission = line.places.admission(jobs[3])
    assert (admission.granted, admission.reason) == (False, "NamespaceQuota")
    assert "1 jobs of namespace a" in admission.message
    assert "limits.runningPerNamespace" in admission.message


def test_a_place_is_held_from_the_reservation_to_the_end_of_the_last_worker() -> None:
    places = line_of(limits=RunningLimits(4)).places
    job = job_of("a", HIGH)
    places.reserve(job)
    assert places.held == 1
    places.reserve(job)
    assert places.held == 1, "no place is given twice"
    places.set_live(job.key, live(job))
    assert (places.held, places.held_by(HIGH)) == (1, 1), "the reservation became the worker"
    assert places.holds(job)
    assert places.admission(job).granted
    places.set_live(job.key, live(job))
    assert places.held == 1
    places.set_live(job.key, {})
    assert (places.held, places.held_by(HIGH)) == (0, 0)
    assert not places.holds(job)


def test_a_refused_worker_gives_its_place_back_once() -> None:
    places = line_of(limits=RunningLimits(4)).places
    job = job_of("a")
    places.reserve(job)
    places.release(job)
    places.release(job)
    assert places.held == 0
    places.set_live(job.key, live(job))
    places.release(job)
    assert places.held == 1, "a worker that lives is not released by a word"


def test_namesakes_do_not_hold_each_others_places() -> None:
    """A job is deleted and made anew while its old worker still ends: both count, each for itself."""
    places = line_of(limits=RunningLimits(4)).places
    old, new = make_job("a", uid="old"), make_job("a", uid="new")
    places.set_live(old.key, live(old))
    assert not places.holds(new)
    places.reserve(new)
    assert places.held == 2
    places.set_live(old.key, live(old) | live(new))
    assert places.held == 2
    places.set_live(old.key, live(new))
    assert (places.held, places.holds(old), places.holds(new)) == (1, False, True)


def test_a_free_place_wakes_the_one_whose_turn_it_is() -> None:
    first, second = job_of("first"), job_of("second")
    line = line_of(limits=RunningLimits(2))
    for job in (first, second):
        line.places.reserve(job)
        line.places.set_live(job.key, live(job))
    for name in ("c", "b", "a"):
        line.places.wait(job_of(name))
    assert line.called == []
    line.places.set_live(first.key, {})
    assert line.called == ["a"], "and not those for whom there is no place"
    line.places.set_live(second.key, {})
    assert line.called == ["a", "b"]


def test_who_leaves_gives_the_place_that_was_granted_to_the_next() -> None:
    line = line_of(*map(job_of, "abcd"), limits=RunningLimits(2))
    assert line.called == ["a", "b"]
    line.places.leave(job_of("d"))
    assert line.called == ["a", "b"], "nobody comes closer"
    line.places.leave(job_of("a"))
    assert line.called == ["a", "b", "c"]


def test_workers_that_others_have_started_count_before_a_grant_does() -> None:
    """After a restart with a lower limit, or with two operators: the surplus must end before anybody starts."""
    job = job_of("a")
    line = line_of(job)
    assert line.places.admission(job).granted
    running = [job_of(name) for name in ("r1", "r2")]
    for each in running:
        line.places.set_live(each.key, live(each))
    assert not line.places.admission(job).granted
    line.called.clear()
    line.places.set_live(running[0].key, {})
    assert line.called == []
    line.places.set_live(running[1].key, {})
    assert line.called == ["a"]


def test_nothing_is_granted_before_everything_was_seen() -> None:
    """The first job that is listed is not the most urgent one, and workers may be listed after it."""
    line = Line(RunningLimits(1))
    line.places.wait(job_of("first", LOW))
    assert not line.places.admission(job_of("first", LOW)).granted
    line.places.wait(job_of("urgent", CRITICAL))
    line.places.open()
    assert line.called == ["urgent"]
    line.places.wait(job_of("more-urgent", CRITICAL, age=9))
    line.places.open()
    assert line.called[1:] == ["more-urgent"], "whoever takes over begins afresh"


class PlacesMachine(RuleBasedStateMachine):
    """Jobs arrive, are decided upon when called, start, are refused, end and are deleted, in any order.

    `called` are the keys in the work queue: a decision takes a key out. A job that no limit holds back and that is not
    called would wait for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.called: set[JobKey] = set()
        self.line: dict[JobKey, Job] = {}
        self.starting: dict[JobKey, Job] = {}
        self.running: dict[JobKey, Job] = {}
        self.count = 0

    @initialize(
        total=st.integers(1, 4),
        of_class=st.dictionaries(st.sampled_from(Priority), st.integers(1, 3)),
        per_namespace=st.none() | st.integers(1, 3),
        ageing=st.sampled_from([1, 3, 1000]),
    )
    def begin(self, total: int, of_class: dict[Priority, int], per_namespace: int | None, ageing: float) -> None:
        self.limits = RunningLimits(total, of_class, {"roomy": 4}, per_namespace, ageing)
        self.places = Places(self.limits, self.call, lambda: self.now)
        self.places.open()

    def taken(self) -> list[Job]:
        granted = [job for key, job in self.line.items() if key in self.called]
        return [*granted, *self.starting.values(), *self.running.values()]

    def fits(self, jobs: list[Job]) -> bool:
        """Tell whether these jobs may run together."""
        limits = self.limits
        classes = Counter(job.priority for job in jobs)
        spaces = Counter(job.key.namespace for job in jobs)
        return (
            len(jobs) <= limits.total
            and all(classes[each] <= limits.of_class.get(each, 99) for each in classes)
            and all(
                spaces[each] <= limits.of_namespace.get(each, limits.per_namespace or limits.total) for each in spaces
            )
        )

    def urgency(self, job: Job) -> tuple[float, float, str, str]:
        """Two for the rank of High; each ageing time of waiting is worth one."""
        rank = {CRITICAL: 0, HIGH: 1, NORMAL: 2, LOW: 3}[job.priority]
        waited = (self.now - job.since).total_seconds()
        if rank:
            rank = max(1, rank - int(waited // self.limits.ageing))
        return rank, -waited, job.key.namespace, job.key.name

    def call(self, key: JobKey) -> None:
        """Check that it is this job's turn."""
        others = [job for job in self.line.values() if job.key not in self.called]
        eligible = [job for job in others if self.fits([*self.taken(), job])]
        assert key == min(eligible, key=self.urgency).key
        self.called.add(key)

    def one_of(self, jobs: dict[JobKey, Job], data: st.DataObject) -> Job:
        return data.draw(st.sampled_from(sorted(jobs.values(), key=lambda job: str(job.key))))

    @rule(priority=st.sampled_from(Priority), age=st.integers(0, 4), namespace=st.sampled_from(["a", "b", "roomy"]))
    def arrive(self, priority: Priority, age: int, namespace: str) -> None:
        self.count += 1
        job = job_of(f"job{self.count}", priority, age, namespace)
        self.line[job.key] = job
        self.places.wait(job)

    @rule(seconds=st.sampled_from([1, 2, 700]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        job = self.one_of(self.line, data)
        granted = self.places.admission(job).granted
        assert granted is (job.key in self.called)
        if granted:
            del self.line[job.key]
            self.called.discard(job.key)
            self.starting[job.key] = job
            self.places.reserve(job)

    @precondition(lambda self: self.starting)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        job = self.one_of(self.starting, data)
        self.running[job.key] = self.starting.pop(job.key)
        self.places.set_live(job.key, live(job))

    @precondition(lambda self: self.starting)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        job = self.one_of(self.starting, data)
        del self.starting[job.key]
        self.places.release(job)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        job = self.one_of(self.running, data)
        del self.running[job.key]
        self.places.set_live(job.key, {})

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        job = self.one_of(self.line, data)
        del self.line[job.key]
        self.called.discard(job.key)
        self.places.leave(job)

    @invariant()
    def counts_agree(self) -> None:
        held = [*self.starting.values(), *self.running.values()]
        assert self.places.held == len(held)
        assert self.places.waiting == len(self.line)
        for priority in Priority:
            assert self.places.waiting_of(priority) == sum(job.priority is priority for job in self.line.values())
            assert self.places.held_by(priority) == sum(job.priority is priority for job in held)

    @invariant()
    def never_more_than_allowed(self) -> None:
        assert self.fits(self.taken())

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        sleeping = [job for key, job in self.line.items() if key not in self.called]
        assert not [str(job.key) for job in sleeping if self.fits([*self.taken(), job])]


TestPlacesMachine = PlacesMachine.TestCase
TestPlacesMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
