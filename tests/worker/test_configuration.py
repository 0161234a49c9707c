"""Misconfiguration: every error at once, exit code 2, and word in the termination message."""

import json
import subprocess
import sys

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment

from crawl_api.worker_protocol import Outcome


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crawl_worker", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_every_missing_setting_is_named() -> None:
    """One line for each of the four."""
    ended = run({})
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert len(lines) == 4
    for name in ("CRAWL_ASSIGNMENT_FILE", "CRAWL_TOKEN_FILE", "CRAWL_TERMINATION_LOG", "CRAWL_WORK_DIR"):
        assert any(line.startswith(f"crawl_worker: {name}: ") for line in lines)


def test_everything_wrong_with_files_and_assignment_is_said_at_once(worker: Worker, operator: StandIn) -> None:
    """Token, work directory, networks: three lines, and an outcome whose cause is Permanent."""
    job = assignment(operator, "http://example.com/", allowedNetworks=["10.0.0.1/8"])
    worker.assignment.write_text(json.dumps(job))
    worker.token.unlink()
    environment = worker.environment(CRAWL_WORK_DIR="/nonexistent")
    ended = run(environment)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 3
    outcome = Outcome.parse(worker.message.read_text())
    assert outcome is not None
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.cause) == ("InvalidConfiguration", "Permanent")
    assert "/nonexistent" in outcome.failure.message


@pytest.mark.parametrize("text", ["no json", '{"type": "Site"}'])
def test_an_assignment_that_is_none_is_refused(worker: Worker, text: str) -> None:
    """A newer operator may know types that this worker does not: that is a message, not a crash."""
    worker.assignment.write_text(text)
    ended = run(worker.environment())
    assert ended.returncode == 2
    assert "assignment: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unreadable_setting_is_an_error(worker: Worker, operator: StandIn) -> None:
    """Numbers are checked too."""
    worker.assignment.write_text(json.dumps(assignment(operator, "http://example.com/")))
    ended = run(worker.environment(CRAWL_EXTRACT_TIMEOUT_SECONDS="soon"))
    assert ended.returncode == 2
    assert "extract_timeout_seconds" in ended.stderr.lower()


def test_help_teaches() -> None:
    """The help names every setting and every exit code, and its example is a valid assignment."""
    ended = run({}, "--help")
    assert ended.returncode == 0
    for name in ("CRAWL_ASSIGNMENT_FILE", "CRAWL_TOKEN_FILE", "CRAWL_TERMINATION_LOG", "CRAWL_WORK_DIR", "143"):
        assert name in ended.stdout
    start = ended.stdout.index("{")
    example = json.loads(ended.stdout[start : ended.stdout.index("fetches one page")])
    assert example["type"] == "Single"
