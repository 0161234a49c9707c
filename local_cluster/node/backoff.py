"""How long a container that keeps ending waits for its next start, as kubelet counts it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds: none before the first restart, then `base`, doubling up to `longest`.

    A container that ran for twice the longest wait is taken for healthy: the count begins anew.
    """

    base: float = 10.0
    longest: float = 300.0

    def wait(self, ends: int) -> float:
        """The wait after that many ends in a row."""
        return 0.0 if ends <= 1 else min(self.base * 2.0 ** min(ends - 2, 30), self.longest)

    def healthy(self, seconds: float) -> bool:
        """Whether a run of that length begins the count anew."""
        return seconds >= 2 * self.longest
