"""An attempt from end to end: what the site served is what the operator gets."""

import json

from operator_stand_in import StandIn
from worker_process import Worker, assignment, records
from worker_site import Site


async def test_a_single_page_is_crawled_stored_and_told(worker: Worker, site: Site, operator: StandIn) -> None:
    """The happy path: record, stored results, outcome with data, termination message without, exit code 0."""
    ended = await worker.run(assignment(operator, f"{site.url}/page/1"))
    assert ended.code == 0, ended.log
    (record,) = records(ended)
    assert record["title"] == "Page 1"
    assert "text of page 1" in record["text"]
    assert record["metadata"]["description"] == "The page number 1"
    assert operator.results == (worker.work / "results.jsonl").read_bytes()
    assert operator.outcome is not None
    assert operator.outcome.data == [record]
    assert operator.outcome.stored == ended.outcome.stored
    assert (ended.outcome.total, ended.outcome.succeeded, ended.outcome.items) == (1, 1, 1)
    assert "data" not in json.loads(ended.message)
    assert site.agents == {"crawl-tests/1"}
