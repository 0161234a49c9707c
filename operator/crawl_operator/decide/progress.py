"""Progress: a percentage that never falls within an attempt and reaches 100 only with a good end."""

from typing import Protocol

from crawl_api.status import Progress


class Counts(Protocol):
    """What a progress report and an outcome have in common."""

    @property
    def total(self) -> int: ...  # noqa: D102 - see the class
    @property
    def succeeded(self) -> int: ...  # noqa: D102 - see the class
    @property
    def failed(self) -> int: ...  # noqa: D102 - see the class
    @property
    def bytes(self) -> int: ...  # noqa: D102 - see the class
    @property
    def from_cache(self) -> int: ...  # noqa: D102 - see the class


def progress_of(before: Progress, counts: Counts) -> Progress:
    """Return the progress that a report tells, never below the one before."""
    progress = Progress(
        total=counts.total,
        succeeded=max(before.succeeded, counts.succeeded),
        failed=max(before.failed, counts.failed),
        bytes=max(before.bytes, counts.bytes),
        from_cache=max(before.from_cache, counts.from_cache),
    )
    percent = percent_done(before, progress, ended_well=False)
    return progress.model_copy(update={"percent": percent, "summary": f"{percent}%"})


def percent_done(before: Progress, progress: Progress, *, ended_well: bool) -> int:
    """Return 100 for a good end, else the share of pages done, at most 99 and at least what was said before."""
    if ended_well:
        return 100
    done = progress.succeeded + progress.failed
    share = 100 * done // progress.total if progress.total else 0
    return max(before.percent, min(share, 99))
