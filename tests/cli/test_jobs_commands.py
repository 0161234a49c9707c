"""Jobs from a terminal, with a real operator and real workers."""

import csv
import json
import sys
from pathlib import Path
from subprocess import PIPE, Popen, run

import pytest
import yaml
from terminal import Program

from demo.pages import PAGES
from demo.site import DemoSite
from held_site import HeldSite
from operator_process import Jobs, manifest

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue/")][:3]
TITLE = PAGES[PATHS[0]].title


@pytest.fixture(scope="module")
def done(crawl: Program, site: DemoSite) -> str:
    """A job that went well in part."""
    urls = [site.url(path) for path in (*PATHS, "/missing")]
    assert (
        crawl.says("submit", *urls, "--name", "Three pages", "-p", "high")
        == "crawljob.crawl-operator.io/three-pages created\n"
    )
    assert "three-pages PartialSuccess, 3 of 4 pages" in crawl.says("wait", "three-pages", "--timeout", "1m")
    return "three-pages"


def test_kubectl_finds_the_plugin(crawl: Program, done: str) -> None:
    """As people type it, and with the same columns as kubectl's own."""
    env = crawl.environment()
    ours = run(["kubectl", "crawl", "list"], env=env, capture_output=True, text=True, check=True).stdout
    theirs = run(["kubectl", "get", "crawljobs"], env=env, capture_output=True, text=True, check=True).stdout
    assert [line.split()[:6] for line in ours.splitlines()] == [line.split()[:6] for line in theirs.splitlines()]
    assert ours.splitlines()[0].split() == ["NAME", "TYPE", "PRIORITY", "PHASE", "PROGRESS", "RETRIES", "WORKER", "AGE"]


def test_jobs_are_printed_in_every_form(crawl: Program, done: str) -> None:
    assert crawl.says("get", done, "-o", "name") == f"crawljob.crawl-operator.io/{done}\n"
    assert crawl.json("get", done)["status"]["phase"] == "PartialSuccess"
    listed = yaml.safe_load(crawl.says("list", "-o", "yaml"))
    assert [item["metadata"]["name"] for item in listed["items"]] == [done]
    assert crawl.json("list")["kind"] == "List"
    template = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Complete")].status}{"\\n"}{end}'
    assert crawl.says("list", "-o", f"jsonpath={template}") == f"{done}=True\n"
    wide = crawl.says("list", "-A", "-o", "wide").splitlines()
    assert wide[0].split()[0] == "NAMESPACE"
    assert {"REASON", "RESULT", "DURATION"} <= set(wide[0].split())
    assert crawl.says("list", "--phase", "failed") == ""
    assert done in crawl.says(
        "list", "--phase", "partial_success", "--type", "batch", "-p", "7", "-q", "THREE", "--limit", "5"
    )


def test_a_job_is_described_and_explained(crawl: Program, done: str, site: DemoSite) -> None:
    text = crawl.says("describe", "Three pages")
    for words in ("Phase:         PartialSuccess", "3 of 4 pages", "HTTP_404", "Conditions:", "Pending → Processing"):
        assert words in text
    assert crawl.says("status", done).startswith("Name:")
    assert crawl.says("why", done).startswith("three-pages ended PartialSuccess")


def test_results_are_shown_saved_and_exported(crawl: Program, done: str, tmp_path: Path) -> None:
    records = [json.loads(line) for line in crawl.says("results", done).splitlines()]
    assert [record.get("title") for record in records].count(TITLE) == 1
    assert len(records) == 4
    table = crawl.says("results", done, "-o", "table")
    assert table.splitlines()[0].split() == ["URL", "STATUS", "TITLE", "ERROR"]
    assert TITLE in table
    fields = crawl.says("results", done, "--field", "title").splitlines()
    assert {"title": TITLE} in [json.loads(line) for line in fields]
    crawl.says("results", done, "--to", str(tmp_path))
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 4
    assert "success: true" in crawl.says("results", done, "-o", "summary")
    crawl.says("export", "--records", done, "--to", str(tmp_path / "pages.parquet"))
    assert (tmp_path / "pages.parquet").read_bytes()[:4] == b"PAR1"
    rows = list(csv.DictReader(crawl.says("export", "--format", "csv").splitlines()))
    assert [(row["name"], row["phase"], row["succeeded"]) for row in rows] == [(done, "PartialSuccess", "3")]
    records = list(csv.DictReader(crawl.says("export", done, "--records", "--format", "csv").splitlines()))
    assert [(bool(row["title"]), bool(row["error"])) for row in records].count((True, False)) == 3
    assert [(bool(row["title"]), bool(row["error"])) for row in records].count((False, True)) == 1
    assert crawl.says("export", "--format", "csv", "-l", "no=job").startswith("namespace,name,uid,")
    assert json.loads(crawl.says("export", "--format", "json"))[0]["displayName"] == "Three pages"


def test_logs_are_those_of_the_worker(crawl: Program, done: str) -> None:
    lines = crawl.says("logs", done).splitlines()
    assert lines
    assert crawl.says("logs", done, "-n", "1").splitlines() == lines[-1:]
    assert crawl.says("logs", done, "-f", "--tail", "1").splitlines() == lines[-1:]


@pytest.mark.parametrize(
    ("path", "more", "code", "phase"),
    [
        (PATHS[0], (), 0, "Completed"),
        ("/missing", (), 1, "Failed"),
        ("/error", ("--set", "retry.maxAttempts=1"), 10, "DeadLetter"),
    ],
)
def test_run_follows_a_job_and_its_exit_code_is_the_outcome(
    crawl: Program, held: HeldSite, *, path: str, more: tuple[str, ...], code: int, phase: str
) -> None:
    name = f"run-{phase.lower()}"
    command = [sys.executable, "-m", "crawl_cli", "run", held.url(path), "--name", name, "-p", "high", *more]
    with Popen(command, stdout=PIPE, stderr=PIPE, text=True, env=crawl.environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        followed = ""
        for line in process.stderr:
            followed += line
            if line.startswith(f"{name}  Processing"):
                held.open()
        said = process.stdout.read()
    assert process.returncode == code, followed
    assert f"{name} {phase}" in said
    assert f"{name}  Processing" in followed
    assert "Traceback" not in followed


def test_some_failed_pages_are_a_failure_only_to_who_is_strict(crawl: Program, done: str) -> None:
    crawl.says("wait", done)
    crawl.says("wait", done, "--strict", code=12)
    crawl.says("wait", done, "--for", "condition=Complete")


@pytest.mark.timeout(300)  # a score of programs, one after the other
def test_levers(crawl: Program, site: DemoSite, shared: Jobs) -> None:
    crawl.says("submit", site.url(PATHS[0]), "--name", "lever", "-p", "low", "--suspend", "--label", "of=levers")
    assert crawl.says("wait", "lever", "--for", "suspended", "--timeout", "20s") == "lever Suspended\n"
    assert "lever waits: held by spec.suspend" in crawl.says("why", "lever")
    crawl.says("update", "lever", "--priority", "critical", "--ttl", "resultSeconds=60")
    crawl.says("wait", "lever", "--timeout", "1s", code=5)
    assert crawl.says("resume", "-l", "of=levers") == "crawljob.crawl-operator.io/lever resumed\n"
    crawl.says("wait", "lever", "--timeout", "1m")
    crawl.says("cancel", "lever", code=7)
    assert crawl.says("requeue", "lever") == "crawljob.crawl-operator.io/lever requeued\n"
    crawl.says("wait", "lever", "--timeout", "1m")
    status = shared.status("lever")
    assert [attempt["outcome"] for attempt in status["attempts"]] == ["Completed", "Completed"]
    assert crawl.says("delete", "lever") == "crawljob.crawl-operator.io/lever deleted\n"
    crawl.says("get", "lever", code=3)
    crawl.says("submit", site.url(PATHS[0]), "--name", "later", "--at", "+2h")
    assert crawl.says("suspend", "later") == "crawljob.crawl-operator.io/later suspended\n"
    crawl.says("wait", "later", "--for", "suspended", "--timeout", "20s")
    assert crawl.says("cancel", "later", "--wait") == "crawljob.crawl-operator.io/later cancelled\n"
    crawl.says("wait", "later", code=11)


def test_a_job_that_waits_for_its_turn_says_so_with_its_place(crawl: Program, shared: Jobs) -> None:
    names = [f"{kind}-{number}" for kind in ("busy", "line") for number in range(2)]
    with DemoSite(delays={"/slow": 100}) as slow:
        for name in names:
            urgent = name.startswith("busy")
            more = ("--set", "fetch.timeoutSeconds=120")
            crawl.says("submit", slow.url("/slow"), "--name", name, "-p", "critical" if urgent else "low", *more)
            if urgent:
                shared.running(name)
        crawl.says("wait", "line-1", "--for", "condition=Scheduled=False", "--timeout", "20s")
        text = crawl.says("why", "line-1")
        assert "2 jobs may run at once" in text
        assert "(ConcurrencyLimit), 2nd in line, served one class higher in 9m" in text
        assert crawl.json("why", "line-0")["position"] == 1
        crawl.says("cancel", *names, "--wait")


def test_manifests_are_submitted_and_a_broken_one_stops_no_other(crawl: Program, done: str, tmp_path: Path) -> None:
    spec = {"single": {"url": "https://example.org/"}, "suspend": True}
    good, bad = (json.loads(json.dumps(manifest(name, **spec))) for name in ("good", "three-pages"))
    file = tmp_path / "jobs.yaml"
    file.write_text(yaml.safe_dump_all([bad, good]))
    ran = crawl.run("submit", "-f", str(file))
    assert (ran.returncode, ran.stdout) == (7, "crawljob.crawl-operator.io/good created\n")
    assert ran.stderr.count("\n") == 1
    assert "already exists" in ran.stderr
    piped = crawl.run("submit", "-f", "-", "--dry-run", "client", input=file.read_text())
    assert list(yaml.safe_load_all(piped.stdout)) == [bad, good]
    assert "(server dry run)" in crawl.says("submit", "https://example.org/", "--name", "dry", "--dry-run", "server")
    crawl.says("get", "dry", code=3)
