"""What the operator has seen: the later version wins, and what is gone stays gone."""

from dataclasses import replace

import pytest
from operator_cases import batch_of, ended_pod, make_batch_job, make_job, make_pod, open_store, outcome_of, running_pod

from crawl_api.crawljob import Priority
from crawl_api.status import Attempt, CrawlJobStatus, Execution, Phase
from crawl_api.worker_protocol import ProgressReport
from crawl_operator.decide.model import BatchJob, JobKey, WorkerPod


class Seen:
    """A store, and the keys of the jobs that it called changed."""

    def __init__(self, limit: int = 4) -> None:
        self.changed: list[str] = []
        self.store = open_store(lambda key: self.changed.append(key.name), limit)

    def take(self) -> list[str]:
        taken, self.changed[:] = list(self.changed), []
        return taken


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_the_later_version_wins_in_whatever_order_they_come(seen: Seen) -> None:
    newer = make_job(version=12, phase=Phase.PROCESSING)
    assert seen.store.put_job(newer)
    assert seen.take() == ["news"]
    assert not seen.store.put_job(make_job(version=11)), "older"
    assert not seen.store.put_job(make_job(version=12)), "the same"
    assert seen.take() == [], "nothing new, nothing to look at"
    assert seen.store.job(newer.key) is newer


def test_the_operators_own_write_is_not_forgotten_for_a_late_event(seen: Seen) -> None:
    """The answer to a patch arrives before the watch's events that preceded it: decisions see the patch."""
    seen.store.put_job(make_job(version=10))
    seen.store.put_job(make_job(version=15, phase=Phase.PROCESSING))
    for late in (11, 12, 14):
        seen.store.put_job(make_job(version=late))
    job = seen.store.job(JobKey("team", "news"))
    assert job is not None
    assert job.phase is Phase.PROCESSING


def test_what_was_deleted_does_not_come_back(seen: Seen) -> None:
    job, pod = make_job(), running_pod()
    seen.store.put_job(job)
    seen.store.put_child(job.key, job.uid, pod)
    seen.store.remove_job(job.key, job.uid)
    seen.store.remove_child(job.key, pod.uid)
    seen.take()
    assert not seen.store.put_job(make_job(version=99)), "a list that began before the deletion"
    assert not seen.store.put_child(job.key, job.uid, running_pod(version=99))
    assert seen.store.job(job.key) is None
    assert seen.store.worker(pod.uid) is None
    assert seen.take() == []
    assert seen.store.buried(job.uid)
    assert seen.store.buried(pod.uid)


def test_a_namesake_is_a_job_of_its_own(seen: Seen) -> None:
    """Deleted and made anew under the same name: it neither inherits children nor is deleted with the first."""
    old, new = make_job(uid="old"), make_job(uid="new", version=30)
    seen.store.put_job(old)
    seen.store.put_child(old.key, "old", running_pod())
    seen.store.put_report(old, 1, ProgressReport(total=1, succeeded=0, failed=0))
    seen.store.put_job(new)
    assert seen.store.children(new) == ((), ())
    assert seen.store.report(new) is None
    seen.store.remove_job(old.key, "old")
    assert seen.store.job(new.key) is new
    assert seen.store.places.held == 1, "the old worker still runs"


def test_children_are_found_by_job_and_pods_by_their_uid(seen: Seen) -> None:
    job, pod, batch_job = make_job(), make_pod(), make_batch_job()
    seen.store.put_job(job)
    seen.store.put_child(job.key, job.uid, batch_job)
    seen.store.put_child(job.key, job.uid, pod)
    assert set(seen.take()) == {"news"}
    assert seen.store.children(job) == ((pod,), (batch_job,))
    assert seen.store.worker(pod.uid) == (job.key, job.uid, pod)
    assert seen.store.worker(batch_job.uid) is None, "a batch Job is no worker"
    assert seen.store.worker("nobody") is None
    assert seen.store.all_children(WorkerPod) == {pod.uid: (job.key, pod)}
    assert seen.store.all_children(BatchJob) == {batch_job.uid: (job.key, batch_job)}
    seen.store.remove_child(job.key, pod.uid)
    assert seen.take() == ["news"]
    assert seen.store.children(job) == ((), (batch_job,))
    assert seen.store.worker(pod.uid) is None


def test_a_child_may_be_seen_before_its_job(seen: Seen) -> None:
    """Watches of different kinds have no common order."""
    job = make_job()
    seen.store.put_child(job.key, job.uid, running_pod())
    assert seen.store.places.held == 1
    seen.store.put_job(job)
    assert seen.store.children(job)[0] == (running_pod(),)
    assert seen.store.places.waiting == 0, "who runs does not wait"


def test_a_worker_that_is_seen_after_its_job_takes_it_out_of_the_line(seen: Seen) -> None:
    """As at a restart, where jobs are listed first: who holds a place must not also stand before the others."""
    held, other = make_job("held"), make_job("other", spec=batch_of(1))
    seen.store.put_job(held)
    seen.store.put_job(other)
    assert seen.store.places.waiting == 2
    seen.store.put_child(held.key, held.uid, make_pod())
    assert (seen.store.places.held, seen.store.places.waiting) == (1, 1)


def test_a_job_whose_worker_vanished_before_it_started_stands_in_line_again() -> None:
    """Else it would never be woken: its pod was deleted while it waited for a node, and others took its place."""
    seen = Seen(limit=1)
    job, other = make_job("job"), make_job("other")
    seen.store.put_job(job)
    seen.store.places.reserve(job)
    seen.store.put_child(job.key, job.uid, make_pod())
    seen.store.remove_child(job.key, make_pod().uid)
    seen.store.places.reserve(other)
    seen.store.put_child(other.key, other.uid, running_pod("other-1"))
    assert not seen.store.places.admission(job).granted
    seen.take()
    seen.store.remove_child(other.key, running_pod("other-1").uid)
    assert "job" in seen.take()


def test_a_place_is_free_when_the_last_worker_of_a_job_has_ended(seen: Seen) -> None:
    job = make_job()
    seen.store.put_job(job)
    seen.store.put_child(job.key, job.uid, running_pod("a", version=21))
    seen.store.put_child(job.key, job.uid, running_pod("b", version=22))
    assert seen.store.places.held == 1, "one job, one place"
    seen.store.put_child(job.key, job.uid, ended_pod("a", version=23))
    assert seen.store.places.held == 1
    seen.store.put_child(job.key, job.uid, ended_pod("b", version=24))
    assert seen.store.places.held == 0


def test_the_pod_of_a_batch_job_tells_when_its_place_is_free(seen: Seen) -> None:
    """The Job itself is said to be complete a moment later: nobody has to wait for that."""
    job = make_job()
    seen.store.put_child(job.key, job.uid, make_batch_job())
    assert seen.store.places.held == 1
    seen.store.put_child(job.key, job.uid, running_pod())
    assert seen.store.places.held == 1
    seen.store.put_child(job.key, job.uid, ended_pod(version=30))
    assert seen.store.places.held == 0


def over(number: int) -> CrawlJobStatus:
    """The status of a job that waits again after that many attempts."""
    attempts = tuple(
        Attempt(number=each + 1, execution=Execution.JOB, worker=f"news-abc-{each + 1}", outcome=Phase.FAILED)
        for each in range(number)
    )
    return CrawlJobStatus(phase=Phase.PENDING, attempts=attempts)


def test_the_pod_of_an_attempt_that_is_over_keeps_nobody_from_waiting() -> None:
    """It stays to be looked at; its job waits for its next attempt like any other, and is woken."""
    seen = Seen(limit=1)
    job, other = make_job("job", status=over(1)), make_job("other")
    seen.store.put_child(job.key, job.uid, ended_pod())
    seen.store.put_job(job)
    assert seen.store.places.waiting == 1
    seen.store.places.reserve(other)
    seen.store.put_child(other.key, other.uid, running_pod("other-1"))
    assert not seen.store.places.admission(job).granted
    seen.take()
    seen.store.remove_child(other.key, running_pod("other-1").uid)
    assert "job" in seen.take()


def test_the_next_attempts_batch_job_holds_its_place_beside_the_pod_of_the_last() -> None:
    """Also for an operator that has just started, and so has reserved nothing."""
    seen = Seen()
    job = make_job(status=over(1))
    seen.store.put_child(job.key, job.uid, ended_pod())
    seen.store.put_child(job.key, job.uid, make_batch_job("news-abc-2", attempt=2))
    assert seen.store.places.held == 1
    seen.store.put_job(job)
    assert seen.store.places.waiting == 0
    seen.store.remove_child(job.key, make_batch_job("news-abc-2").uid)
    assert seen.store.places.held == 0


def test_only_pending_jobs_wait(seen: Seen) -> None:
    for number, phase in enumerate(Phase):
        seen.store.put_job(make_job(f"job{number}", phase=phase))
    seen.store.put_job(make_job("leaving", deleting=True))
    assert seen.store.places.waiting == 1


def test_a_change_of_priority_changes_the_place_in_line() -> None:
    seen = Seen(limit=1)
    job, other = make_job("z"), make_job("a")
    seen.store.put_job(job)
    seen.store.put_job(other)
    urgent = make_job("z", version=11, priority=Priority.CRITICAL)
    seen.store.put_job(urgent)
    assert seen.store.places.waiting == 2
    seen.store.places.open()
    assert seen.store.places.admission(urgent).granted
    assert not seen.store.places.admission(other).granted


def test_a_deleted_job_keeps_the_place_reserved_for_it_until_the_api_server_was_asked() -> None:
    """Its worker may exist: the job is looked at once more, and the reconciler finds out."""
    seen = Seen(limit=1)
    job, other = make_job("job"), make_job("other")
    seen.store.put_job(job)
    seen.store.places.reserve(job)
    seen.store.put_job(other)
    seen.take()
    seen.store.remove_job(job.key, job.uid)
    assert seen.take() == ["job"]
    assert seen.store.places.reserved(job.key) is job
    seen.store.places.release(job)
    assert seen.store.places.held == 0
    assert seen.take() == ["other"]


def test_the_newest_report_counts_until_the_job_is_over(seen: Seen) -> None:
    job = make_job(phase=Phase.PROCESSING)
    seen.store.put_job(job)
    for done in (1, 2):
        seen.store.put_report(job, 1, ProgressReport(total=3, succeeded=done, failed=0))
    report = seen.store.report(job)
    assert report is not None
    assert report.succeeded == 2
    assert seen.take() == ["news"] * 3
    seen.store.put_job(make_job(version=11, phase=Phase.COMPLETED))
    assert seen.store.report(job) is None, "a finished job costs no memory for it"


def test_a_report_counts_for_its_own_attempt_only(seen: Seen) -> None:
    """What the first attempt said last is not the progress of the second, however late it comes."""
    first = make_job(phase=Phase.PROCESSING)
    seen.store.put_job(first)
    seen.store.put_report(first, 1, ProgressReport(total=3, succeeded=2, failed=0))
    second = make_job(version=11, status=over(1))
    seen.store.put_job(second)
    assert seen.store.report(second) is None
    seen.store.put_report(second, 2, ProgressReport(total=3, succeeded=0, failed=0))
    seen.store.put_report(second, 1, ProgressReport(total=3, succeeded=3, failed=0))
    report = seen.store.report(second)
    assert report is not None
    assert report.succeeded == 0


def test_the_memory_of_deletions_is_bounded(seen: Seen) -> None:
    for number in range(10_001):
        seen.store.remove_child(JobKey("team", "news"), f"uid{number}")
    assert not seen.store.buried("uid0")
    assert seen.store.buried("uid1")
    assert seen.store.buried("uid10000")


@pytest.mark.parametrize("first", ["job", "pod"])
def test_what_a_pod_said_at_its_end_is_kept_until_all_is_settled(seen: Seen, first: str) -> None:
    """There may be ten thousand of them; the outcome stands in the status by then."""
    pod, settled = (
        ended_pod(outcome=outcome_of(1, 0)),
        replace(make_job(version=20, phase=Phase.COMPLETED), settled=True),
    )
    if first == "pod":
        seen.store.put_job(make_job())
        seen.store.put_child(settled.key, settled.uid, pod)
        assert seen.store.children(make_job())[0] == (pod,)
    seen.store.put_job(settled)
    seen.store.put_child(settled.key, settled.uid, pod)
    (kept,) = seen.store.children(settled)[0]
    assert (kept.name, kept.ended, kept.termination_message) == (pod.name, True, "")


def test_what_a_pod_of_another_run_or_job_said_is_kept(seen: Seen) -> None:
    """The job may have been sent again, or be a namesake, without that having been seen yet."""
    settled = replace(make_job(version=20, phase=Phase.COMPLETED), settled=True)
    seen.store.put_job(settled)
    later = ended_pod("later", outcome=outcome_of(1, 0), uid="later", version=25)
    other = ended_pod("other", outcome=outcome_of(1, 0), uid="other")
    seen.store.put_child(settled.key, settled.uid, later)
    seen.store.put_child(settled.key, "uid-of-a-namesake", other)
    seen.store.put_job(replace(settled, version=21))
    kept = {child.name: child for _, child in seen.store.all_children(WorkerPod).values()}
    assert kept == {"later": later, "other": other}
