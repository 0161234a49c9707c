"""Upkeep: what is to be cleaned up is, what is not well is said, and what there is can be listed."""

from typing import Any

import pytest
from aiohttp import web
from operator_stand_in import StandIn
from worker_process import Worker, assignment
from worker_site import Site


def job(operator: StandIn, task: str, **parameters: Any) -> dict[str, Any]:
    wanted = {"task": task, "parameters": parameters}
    return assignment(operator, "http://h/", type="Maintenance", single=None, maintenance=wanted)


@pytest.mark.parametrize(
    ("task", "parameters", "cleaning"),
    [
        ("cache_cleanup", {}, {"what": "cache", "olderThanSeconds": 3600}),
        ("cache_cleanup", {"olderThanSeconds": 0}, {"what": "cache", "olderThanSeconds": 0}),
        ("result_cleanup", {}, {"what": "results", "olderThanSeconds": 2592000}),
    ],
)
async def test_the_operator_is_told_what_to_remove(
    worker: Worker, operator: StandIn, task: str, parameters: dict[str, Any], cleaning: dict[str, Any]
) -> None:
    """What was removed is the result; the parameters are told with their defaults."""
    ended = await worker.run(job(operator, task, **parameters))
    assert ended.code == 0, ended.log
    assert operator.cleanings == [cleaning]
    (record,) = operator.lines
    assert (record["url"], record["data"]) == (f"maintenance:{task}", {"removed": 3, "bytes": 300})
    assert operator.outcome is not None
    assert operator.outcome.parameters == {"olderThanSeconds": cleaning["olderThanSeconds"]}
    assert operator.progress[-1].parameters == operator.outcome.parameters


@pytest.mark.parametrize(
    ("task", "parameters", "words"),
    [
        (
            "defragment",
            {},
            ["no maintenance task is called defragment", "cache_cleanup, health_check, "],
        ),
        ("cache_cleanup", {"olderThanSeconds": -1, "x": 1}, [".parameters.olderThanSeconds: ", ".parameters.x: "]),
    ],
)
async def test_what_can_never_run_is_said_at_once_and_whole(
    worker: Worker, operator: StandIn, task: str, parameters: dict[str, Any], words: list[str]
) -> None:
    ended = await worker.run(job(operator, task, **parameters))
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("InvalidParameters", "Permanent")
    assert all(word in failure.message for word in words), failure.message


async def test_a_cleaning_that_fails_is_worth_another_try(worker: Worker, operator: StandIn) -> None:
    operator.answer = lambda _self, what: web.Response(status=503) if what == "cleaning" else None
    ended = await worker.run(job(operator, "cache_cleanup"))
    assert ended.code == 1
    (error,) = ended.outcome.errors
    assert (error.code, error.retryable) == ("StoreUnavailable", True)


async def test_each_part_is_checked_and_what_is_not_well_is_an_error(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    sites = [f"{site.url}/page/1", f"{site.url}/status/503", "nonsense"]
    ended = await worker.run(job(operator, "health_check", urls=sites))
    assert ended.code == 0, ended.log
    checks = {record["url"].removeprefix("maintenance:health_check:"): record for record in operator.lines}
    healthy = {name for name, record in checks.items() if record.get("data") == {"healthy": True}}
    assert healthy == {"store", "disk", "extraction", sites[0]}
    codes = {name: record["error"]["code"] for name, record in checks.items() if "error" in record}
    assert codes == {sites[1]: "HTTP_503", sites[2]: "InvalidURL"}


async def test_a_store_that_is_away_is_not_well(worker: Worker, operator: StandIn) -> None:
    operator.answer = lambda _self, what: web.Response(status=507) if what == "cache" else None
    ended = await worker.run(job(operator, "health_check"))
    assert [(error.url, error.code) for error in ended.outcome.errors] == [
        ("maintenance:health_check:store", "Unhealthy")
    ]


async def test_processors_and_tasks_are_listed_with_their_schemas(worker: Worker, operator: StandIn) -> None:
    ended = await worker.run(job(operator, "list_processors"))
    assert ended.code == 0, ended.log
    listed = {record["url"]: record["data"] for record in operator.lines}
    assert set(listed) >= {"processor:scrapy", "maintenance:cache_cleanup", "maintenance:list_processors"}
    seconds = listed["maintenance:cache_cleanup"]["parameters"]["properties"]["olderThanSeconds"]
    assert (seconds["default"], seconds["minimum"]) == (3600, 0)
    assert seconds["description"]
    assert listed["processor:scrapy"]["examples"]
