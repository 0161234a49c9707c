"""A full disk: a clear failure, the good records kept, no hang."""

import resource
from pathlib import Path

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment
from worker_site import RAW, Site

from crawl_worker.spool import Spool, SpoolError


def limit_files() -> None:
    """Let no file of this process grow beyond 20 kB: writing more fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


async def test_a_full_disk_is_a_clear_failure_and_keeps_what_fits(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    """Records up to the limit are stored; the failure is the infrastructure's."""
    RAW["text"] = ("text/plain", b"x" * 6_000)
    urls = [f"{site.url}/raw/text?{n}" for n in range(8)]
    ended = await worker.end(await worker.start(assignment(operator, *urls), preexec=limit_files))
    assert ended.code == 1, ended.log
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("SpoolFailed", "Infrastructure")
    assert operator.results is not None
    assert operator.results.count(b"\n") == ended.outcome.items == ended.outcome.succeeded == 3
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


def test_a_line_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """After a failed write the file ends with the last whole line, and its checksum is right."""
    spool = Spool(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    spool.append(b'{"a": 1}\n')
    checksum = spool.sha256
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(SpoolError):
            spool.append(b"x" * 200 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    spool.append(b'{"b": 2}\n')
    spool.close()
    assert spool.records() == [{"a": 1}, {"b": 2}]
    assert (spool.items, spool.size) == (2, 18)
    assert b"".join(spool.chunks()) == b'{"a": 1}\n{"b": 2}\n'
    assert checksum != spool.sha256


def test_a_directory_that_takes_no_file_is_a_spool_error(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(SpoolError, match=r"results\.jsonl"):
        Spool(tmp_path / "missing")
