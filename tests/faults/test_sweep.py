"""The whole sweep: every fault of every family, tried on every scenario."""

import pytest
from scenarios import Scenario
from stories import SCENARIOS
from sweeping import Bench

pytestmark = [pytest.mark.cluster, pytest.mark.faults, pytest.mark.timeout(900)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_every_fault_comes_to_the_undisturbed_end(bench: Bench, scenario: Scenario) -> None:
    await bench.sweep(scenario)
