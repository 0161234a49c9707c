"""Schedules, dead letters and numbers from a terminal."""

import pytest
import yaml
from terminal import Program

from demo.pages import PAGES
from demo.site import DemoSite
from held_site import HeldSite
from operator_process import Jobs, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PATIENT = ("--set", "fetch.timeoutSeconds=120")
"""For a page that is held back."""
PATH = next(page.path for page in PAGES.values() if page.path.startswith("/catalogue/"))


def test_a_schedule_lives(crawl: Program, site: DemoSite, shared: Jobs) -> None:
    made = crawl.says(
        "schedule",
        "create",
        "daily_crawl",
        "0 2 * * *",
        site.url(PATH),
        "--zone",
        "Europe/Berlin",
        "--disabled",
        "-p",
        "high",
    )
    assert made == "scheduledcrawljob.crawl-operator.io/daily-crawl created\n"
    row = crawl.says("schedule", "list").splitlines()[1].split()
    assert row[:8] == ["daily-crawl", "0", "2", "*", "*", "*", "Europe/Berlin", "false"]
    assert "is disabled" in crawl.says("schedule", "next", "daily_crawl")
    crawl.says("schedule", "enable", "daily_crawl")
    found = crawl.says("schedule", "next", "daily-crawl", "-c", "2").splitlines()
    assert [moment[11:16] for moment in found] == ["02:00", "02:00"]
    crawl.says("schedule", "disable", "daily-crawl")
    crawl.says("schedule", "trigger", "daily-crawl")
    wait_until(lambda: crawl.says("list", "--schedule", "daily-crawl"), "there is a run", 20, pause=0.5)
    crawl.says("wait", "-l", "crawl-operator.io/schedule=daily-crawl", "--timeout", "1m")
    assert "Runs:                1" in crawl.says("schedule", "describe", "daily_crawl")
    assert crawl.json("schedule", "list")["items"][0]["spec"]["displayName"] == "daily_crawl"
    assert (
        crawl.says("schedule", "delete", "daily_crawl") == "scheduledcrawljob.crawl-operator.io/daily_crawl deleted\n"
    )
    crawl.says("schedule", "describe", "daily-crawl", code=3)
    done = crawl.run("schedule", "create", "bad", "99 * * * *", site.url(PATH))
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "the minute must be" in done.stderr


def test_dead_letters_are_looked_at_run_again_and_thrown_away(crawl: Program, site: DemoSite) -> None:
    for number in range(2):
        crawl.says(
            "run", site.url("/error"), "--name", f"dead-{number}", "--set", "retry.maxAttempts=1", "-p", "high", code=10
        )
    listed = crawl.says("dead-letter", "list").splitlines()
    assert [line.split()[0] for line in listed] == ["NAME", "dead-0", "dead-1"]
    assert "500 Internal Server Error" in listed[1]
    assert "HTTP_500" in crawl.says("dead-letter", "show", "dead-0")
    assert crawl.says("dead-letter", "requeue", "dead-0") == "crawljob.crawl-operator.io/dead-0 requeued\n"
    crawl.says("wait", "dead-0", "--timeout", "1m", code=10)
    assert "Attempts:\n  1 " in crawl.says("describe", "dead-0")
    purged = crawl.says("dead-letter", "purge", "--all").splitlines()
    assert len(purged) == 2
    assert crawl.says("dead-letter", "list") == ""
    assert "which dead letters?" in crawl.run("dead-letter", "purge").stderr


def test_numbers_agree_with_the_objects(crawl: Program, held: HeldSite, shared: Jobs) -> None:
    runs = ("get", "crawljobs", "-l", "crawl-operator.io/schedule", "-o", "name")
    wait_until(lambda: not shared.kubectl(*runs).stdout, "the runs of a schedule that is gone are gone too", 75)
    crawl.says("submit", held.url("/slow"), "--name", "slow", "-p", "critical", *PATIENT)
    shared.running("slow")
    workers = crawl.says("workers").splitlines()
    assert any(line.split()[1:2] == ["slow"] for line in workers)
    queue = crawl.json("queue")
    assert queue["processing"] == queue["running"]["Critical"] == 1
    counted = shared.kubectl("get", "crawljobs", "-o", "name").stdout.split()
    members = ("pending", "processing", "completed", "failed", "retry", "delayed")
    assert queue["total"] == sum(queue[name] for name in members) == len(counted)
    assert f"Total:           {len(counted)}" in crawl.says("queue")
    status = crawl.says("status")
    assert "System Status" in status
    assert "healthy" in status
    doctor = crawl.run("doctor").stdout
    assert "No problems found." in doctor or "not ready" in doctor
    for words in (f"{crawl.cluster.blueprint.server} (v1.", " ms away", "1, "):
        assert words in doctor
    held.open()
    followed = crawl.says("logs", "slow", "-n", "100", "-f").splitlines()
    assert '"attempt ended"' in followed[-1], "to the end of what goes on"
    crawl.says("wait", "slow", "--timeout", "1m")
    stats = yaml.safe_load(crawl.says("stats", "-o", "yaml"))
    assert stats["completed"] >= 1
    assert stats["success_rate"] == round(100 * stats["completed"] / (stats["completed"] + stats["failed"]), 1)
    assert stats["p95_processing_time_ms"] >= 3000


def test_a_restarted_worker_gives_its_job_to_another(crawl: Program, held: HeldSite, shared: Jobs) -> None:
    crawl.says("submit", held.url("/slow"), "--name", "restarted", "-p", "critical", *PATIENT)
    worker = shared.running("restarted")["workerId"]
    shared.kubectl("wait", f"pod/{worker}", "--for=condition=Ready", "--timeout=30s")
    assert "no workers found" in crawl.run("restart", "--failed").stderr, "this one is well"
    assert f"pod/{worker} deleted, for restarted" in crawl.says("restart", "workers")
    held.open()
    crawl.says("wait", "restarted", "--timeout", "90s")
    assert shared.status("restarted").get("retryCount", 0) == 0


def test_only_a_worker_that_is_not_well_is_restarted_where_that_is_asked(crawl: Program, shared: Jobs) -> None:
    """One that no node takes, beside none other."""
    labels = {f"crawl-operator.io/{name}": "stuck" for name in ("job", "job-uid")}
    container = {"name": "worker", "image": "none"}
    spec = {"nodeSelector": {"nowhere": "none"}, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stuck", "labels": labels}, "spec": spec}
    shared.kubectl("apply", "-f", "-", input=yaml.safe_dump(pod))
    assert "worker stuck of stuck is not ready" in crawl.says("doctor", code=1)
    assert crawl.says("restart", "--failed") == "pod/stuck deleted, for stuck\n"


def test_upkeep_is_a_job_like_any_other(crawl: Program) -> None:
    parameters = ("--set", "maintenance.parameters.olderThanSeconds=0")
    assert "upkeep Completed" in crawl.says("run", "--task", "cache_cleanup", *parameters, "--name", "upkeep")
    assert "cache_cleanup" in crawl.says("describe", "upkeep")
    assert crawl.json("get", "upkeep")["spec"]["maintenance"]["parameters"] == {"olderThanSeconds": 0}
