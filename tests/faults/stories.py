"""All stories, in one list."""

from typing import Final

import stories_of_ends
import stories_of_levers
import stories_of_places
import stories_of_schedules
import stories_of_time
from scenarios import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *stories_of_ends.STORIES,
    *stories_of_places.STORIES,
    *stories_of_levers.STORIES,
    *stories_of_time.STORIES,
    *stories_of_schedules.STORIES,
)
NAMED: Final = {scenario.name: scenario for scenario in SCENARIOS}
