"""The whole sweep: every fault of every family, tried on every scenario."""

import os

import pytest
from scenarios import Scenario
from stories import SCENARIOS
from sweeping import Bench

pytestmark = [pytest.mark.cluster, pytest.mark.faults, pytest.mark.timeout(900)]

_SHARE = int(os.environ.get("FAULTS_SHARE", "1"))
"""Only every so-and-so-many-th fault of a story is tried: the whole takes too long for every change."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_every_fault_comes_to_the_undisturbed_end(bench: Bench, scenario: Scenario) -> None:
    await bench.sweep(scenario, share=_SHARE)
