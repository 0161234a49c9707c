"""Faults whose trials take seconds: deaths of the real program with Kopf's watches, and of the API server."""

from collections.abc import Iterator

import pytest
from families import deaths, oddities, starts
from scenarios import Scenario
from stage import bare_cluster
from stories import NAMED, SCENARIOS
from sweeping import Bench

from local_cluster.cluster import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.faults, pytest.mark.timeout(900)]

_PROGRAM = [NAMED[name] for name in ("happy-pod", "happy-job", "retried-at-once")]


@pytest.mark.parametrize("scenario", _PROGRAM, ids=lambda scenario: scenario.name)
async def test_the_program_may_be_killed_at_any_write(bench: Bench, scenario: Scenario) -> None:
    await bench.sweep(scenario, families=[deaths], program=True, at_once=3)


async def test_the_first_lists_may_fail_and_answers_be_odd(bench: Bench) -> None:
    await bench.sweep(NAMED["happy-pod"], families=[starts, oddities])
    await bench.sweep(NAMED["requeued-dead-letter"], NAMED["completed-goes"], families=[oddities])


@pytest.fixture(scope="module")
def bare() -> Iterator[LocalCluster]:
    """A cluster for those who break it."""
    with bare_cluster("breaks") as cluster:
        yield cluster


async def test_the_api_server_may_restart_at_any_step(bench: Bench) -> None:
    await bench.outlast(*SCENARIOS)


async def test_the_program_outlasts_the_api_server(bench: Bench) -> None:
    await bench.outlast(*_PROGRAM, program=True)
