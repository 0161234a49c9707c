"""Every story undisturbed, and, of the long tests, a few of the faults of the sweep."""

import pytest
from invariants import MOVES
from stories import SCENARIOS
from sweeping import Bench

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

_SHARE = 151
"""A prime: the faults that are taken are of all families."""


async def test_the_stories_show_every_move_of_a_job(bench: Bench) -> None:
    shown = {move for ending in await bench.play(*SCENARIOS) for move in ending.moves}
    assert shown == MOVES


@pytest.mark.long
async def test_some_faults_come_to_the_undisturbed_end(bench: Bench) -> None:
    await bench.sweep(*SCENARIOS, share=_SHARE)
