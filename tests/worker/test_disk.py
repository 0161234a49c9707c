"""A full disk: a clear failure, the good records kept, no hang."""

import contextlib
import resource
from pathlib import Path

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment
from worker_site import RAW, Site

from crawl_worker.findings import Finding, Visit
from crawl_worker.ledger import Ledger, LedgerError
from crawl_worker.records import Record


def limit_files() -> None:
    """Let no file of this process grow beyond 400 kB: writing more fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))


def finding(url: str, text: str = "") -> Finding:
    return Finding(Visit(url), [Record(url=url, text=text)], [Visit(f"found by {url}")])


async def test_a_full_disk_is_a_clear_failure_and_keeps_what_fits(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """Records up to the limit are stored; the failure is the infrastructure's."""
    RAW["text"] = ("text/plain", b"x" * 50_000)
    urls = [f"{site.url}/raw/text?{n}" for n in range(8)]
    ended = await worker.end(await worker.start(assignment(operator, *urls), preexec=limit_files))
    assert ended.code == 1, ended.log
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("DiskFailed", "Infrastructure")
    assert operator.results is not None
    assert operator.results.count(b"\n") == ended.outcome.items == ended.outcome.succeeded
    assert 0 < ended.outcome.succeeded < len(urls)
    assert operator.outcome is not None
    assert operator.outcome.failure == failure


async def test_a_termination_log_that_cannot_be_written_does_not_keep_the_worker(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """The outcome is with the operator all the same."""
    job = assignment(operator, f"{site.url}/page/1")
    ended = await worker.run(job, CRAWL_TERMINATION_LOG="/nonexistent/log")
    assert ended.code == 0
    assert operator.outcome is not None
    assert "the termination message cannot be written" in ended.log


def test_a_finding_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """After a failed write the ledger holds what it held, and takes what fits."""
    with contextlib.closing(Ledger(tmp_path, "job")) as ledger:
        ledger.begin()
        ledger.keep(finding("a"))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        try:
            with pytest.raises(LedgerError):
                ledger.keep(finding("b", "x" * 300_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [record["url"] for record in ledger.records()] == ["a"]
        ledger.keep(finding("c"))
        assert [record["url"] for record in ledger.records()] == ["a", "c"]
        assert list(ledger.visits()) == [(Visit("found by a"), False), (Visit("found by c"), False)]


def test_a_directory_that_takes_no_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"missing/ledger\.sqlite"):
        Ledger(tmp_path / "missing", "job")
