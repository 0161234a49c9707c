"""The words of the API that say what a job is and where it stands. No models: a client reads them in a moment."""

from enum import StrEnum
from typing import Final


class JobType(StrEnum):
    """What a job does; each value has a spec member of the same name."""

    SINGLE = "Single"
    BATCH = "Batch"
    SITE = "Site"
    PDF = "Pdf"
    MAINTENANCE = "Maintenance"
    CUSTOM = "Custom"


class Priority(StrEnum):
    """Order of service when capacity is short, most urgent first."""

    CRITICAL = "Critical"
    HIGH = "High"
    NORMAL = "Normal"
    LOW = "Low"

    @property
    def rank(self) -> int:
        """0 for the most urgent class."""
        return list(Priority).index(self)

    def served_as(self, waited: float, ageing: float) -> int:
        """Return the rank that a job is served with: one class higher for each ageing time that it has waited.

        No job ages into the most urgent class, which therefore never waits behind thousands of old ones.
        """
        highest = min(self.rank, Priority.HIGH.rank)
        return max(self.rank - int(max(waited, 0) / ageing), highest)


class Phase(StrEnum):
    """Where a job stands. The last five are terminal."""

    PENDING = "Pending"
    DELAYED = "Delayed"
    SUSPENDED = "Suspended"
    PROCESSING = "Processing"
    RETRY = "Retry"
    COMPLETED = "Completed"
    PARTIAL_SUCCESS = "PartialSuccess"
    FAILED = "Failed"
    DEAD_LETTER = "DeadLetter"
    CANCELLED = "Cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing more happens without a person."""
        return self in TERMINAL_PHASES


TERMINAL_PHASES: Final = frozenset(
    {Phase.COMPLETED, Phase.PARTIAL_SUCCESS, Phase.FAILED, Phase.DEAD_LETTER, Phase.CANCELLED}
)
