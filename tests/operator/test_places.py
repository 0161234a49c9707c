"""Places to run: never more than there are, the right one first, and nobody forgotten."""

from collections import Counter
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from operator_cases import CREATED, make_job

from crawl_api.crawljob import Priority
from crawl_operator.decide.capacity import admit
from crawl_operator.decide.model import Job, JobKey
from crawl_operator.places import Places

LOW, NORMAL, HIGH, CRITICAL = Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.CRITICAL


def places_of(limit: int) -> tuple[Places, list[str]]:
    """Return places and the names of those who were woken, as they are woken."""
    woken: list[str] = []
    return Places(limit, lambda key: woken.append(key.name)), woken


def job_of(name: str, priority: Priority = NORMAL, age: float = 0) -> Job:
    return make_job(name, priority=priority, created=CREATED - timedelta(seconds=age))


def live(job: Job) -> frozenset[str]:
    return frozenset({job.uid})


def test_class_comes_first_then_age_then_name() -> None:
    places, _ = places_of(1)
    in_order = [
        job_of("z-critical", CRITICAL, age=0),
        job_of("old-high", HIGH, age=9),
        job_of("new-high", HIGH, age=1),
        job_of("a-normal", NORMAL, age=5),
        job_of("b-normal", NORMAL, age=5),
        job_of("ancient-low", LOW, age=9999),
    ]
    for job in reversed(in_order):
        places.wait(job)
    assert [places.ahead_of(job) for job in in_order] == [0, 1, 2, 3, 4, 5]
    assert places.waiting == 6


def test_a_job_stands_in_line_once() -> None:
    places, _ = places_of(1)
    for _ in range(3):
        places.wait(job_of("a"))
    assert places.waiting == 1
    places.leave(job_of("a"))
    places.leave(job_of("a"))
    assert places.waiting == 0


def test_a_place_is_held_from_the_reservation_to_the_end_of_the_last_worker() -> None:
    places, _ = places_of(4)
    job = job_of("a")
    places.reserve(job)
    assert places.held == 1
    places.reserve(job)
    assert places.held == 1, "no place is given twice"
    places.set_live(job.key, live(job))
    assert places.held == 1, "the reservation became the worker"
    assert places.holds(job)
    places.set_live(job.key, live(job))
    assert places.held == 1
    places.set_live(job.key, frozenset())
    assert places.held == 0
    assert not places.holds(job)


def test_a_refused_worker_gives_its_place_back_once() -> None:
    places, _ = places_of(4)
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
    places, _ = places_of(4)
    old, new = make_job("a", uid="old"), make_job("a", uid="new")
    places.set_live(old.key, live(old))
    assert not places.holds(new)
    places.reserve(new)
    assert places.held == 2
    places.set_live(old.key, frozenset({"old", "new"}))
    assert places.held == 2
    places.set_live(old.key, live(new))
    assert (places.held, places.holds(old), places.holds(new)) == (1, False, True)


def test_a_free_place_wakes_the_one_whose_turn_it_is() -> None:
    places, woken = places_of(2)
    first, second = job_of("first"), job_of("second")
    for job in (first, second):
        places.reserve(job)
        places.set_live(job.key, live(job))
    for name in ("c", "b", "a"):
        places.wait(job_of(name))
    assert woken == []
    places.set_live(first.key, frozenset())
    assert woken == ["a"], "and not those for whom there is no place"
    places.set_live(second.key, frozenset())
    assert woken == ["a", "b"]


def test_who_leaves_the_line_lets_the_next_one_into_reach() -> None:
    places, woken = places_of(2)
    for name in ("a", "b", "c", "d"):
        places.wait(job_of(name))
    places.leave(job_of("d"))
    assert woken == [], "nobody comes closer"
    places.leave(job_of("a"))
    assert woken == ["c"], "b was within reach before"


def test_taking_a_place_wakes_nobody() -> None:
    """Who stands within reach stays within reach: one fewer ahead, one fewer free."""
    places, woken = places_of(2)
    for name in ("a", "b", "c"):
        places.wait(job_of(name))
    places.reserve(job_of("a"))
    assert woken == []
    assert (places.held, places.waiting) == (1, 2)


def test_more_live_workers_than_places_free_none() -> None:
    """After a restart with a lower limit, or with two operators: the surplus must end before anybody starts."""
    places, woken = places_of(1)
    running = [job_of(name) for name in ("r1", "r2", "r3")]
    for job in running:
        places.set_live(job.key, live(job))
    places.wait(job_of("a"))
    for job in running[:2]:
        places.set_live(job.key, frozenset())
        assert woken == []
    places.set_live(running[2].key, frozenset())
    assert woken == ["a"]


class PlacesMachine(RuleBasedStateMachine):
    """Jobs arrive, are decided upon when woken, start, are refused, end and are deleted, in any order.

    `awake` are the keys in the work queue: a decision takes a key out, a wake-up puts it in. A job within reach of a
    free place that is not awake would wait for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self.limit = 2
        self.awake: set[JobKey] = set()
        self.places = Places(self.limit, self.awake.add)
        self.line: dict[JobKey, Job] = {}
        self.starting: dict[JobKey, Job] = {}
        self.running: dict[JobKey, Job] = {}
        self.count = 0

    def one_of(self, jobs: dict[JobKey, Job], data: st.DataObject) -> Job:
        return data.draw(st.sampled_from(sorted(jobs.values(), key=lambda job: job.order)))

    @rule(priority=st.sampled_from(Priority), age=st.integers(0, 3))
    def arrive(self, priority: Priority, age: int) -> None:
        self.count += 1
        job = job_of(f"job{self.count}", priority, age)
        self.line[job.key] = job
        self.places.wait(job)
        self.awake.add(job.key)

    @precondition(lambda self: self.awake)
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.awake, key=str)))
        self.awake.discard(key)
        job = self.line.get(key)
        if job is None:
            return
        places = self.places
        if admit(running=places.held, limit=places.limit, ahead=places.ahead_of(job)).granted:
            places.reserve(job)
            self.starting[key] = self.line.pop(key)

    @precondition(lambda self: self.starting)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        job = self.one_of(self.starting, data)
        self.places.set_live(job.key, live(job))
        self.running[job.key] = self.starting.pop(job.key)

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
        self.places.set_live(job.key, frozenset())

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        job = self.one_of(self.line, data)
        del self.line[job.key]
        self.places.leave(job)

    @invariant()
    def counts_agree(self) -> None:
        assert self.places.held == len(self.starting) + len(self.running)
        assert self.places.waiting == len(self.line)
        by_priority = Counter(job.priority for job in self.line.values())
        assert {each: self.places.waiting_of(each) for each in Priority} == {
            each: by_priority[each] for each in Priority
        }
        assert dict(self.places.holders()) == {
            job.key: job.uid for job in (*self.starting.values(), *self.running.values())
        }

    @invariant()
    def never_more_than_there_are(self) -> None:
        assert self.places.held <= self.limit

    @invariant()
    def nobody_in_reach_sleeps(self) -> None:
        in_order = sorted(self.line.values(), key=lambda job: job.order)
        within_reach = in_order[: self.limit - self.places.held]
        assert not [job.key.name for job in within_reach if job.key not in self.awake]


TestPlacesMachine = PlacesMachine.TestCase
TestPlacesMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
