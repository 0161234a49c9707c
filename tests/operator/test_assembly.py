"""The parts of an operator, joined."""

from pathlib import Path

from operator_cases import make_job

from crawl_operator.assembly import Assembly
from crawl_operator.decide.model import JobKey
from crawl_operator.kube import Connection, Kube
from crawl_operator.setting_groups import Results
from crawl_operator.settings import Settings


async def _nobody() -> Connection:
    return Connection("http://127.0.0.1:9", None, {})


async def test_who_begins_to_lead_looks_at_all_jobs_and_at_what_others_have_left(tmp_path: Path) -> None:
    """A job that went while another operator led, and died, may have left something stored."""
    parts = Assembly(Settings(results=Results(folder=tmp_path)), Kube(_nobody, timeout=1))
    gone = make_job("gone")
    for job in (gone, make_job("there")):
        parts.store.put_job(job)
    parts.store.remove_job(gone.key, gone.uid)
    for _ in range(2):
        parts.queue.done(await parts.queue.get())
    assert len(parts.queue) == 0
    parts.lead()
    assert {await parts.queue.get() for _ in range(2)} == {gone.key, JobKey(gone.key.namespace, "there")}
