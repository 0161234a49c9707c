"""Jobs that depend on each other, put together before any is submitted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Self

from crawl_api.crawljob import DependencyCondition
from crawl_client.errors import ValidationError
from crawl_client.requested import NewJob


@dataclass(frozen=True)
class Graph:
    """Jobs and what each waits for. Each `add` returns a new graph.

    >>> from crawl_client import single
    >>> first, second = single("https://example.org/", name="first"), single("https://example.com/", name="second")
    >>> graph = Graph().add(second, after=[first]).add(first)
    >>> [job.name for job in graph.jobs()]
    ['first', 'second']
    """

    _jobs: Mapping[str, NewJob] = field(default_factory=dict)
    _after: Mapping[str, Mapping[str, DependencyCondition]] = field(default_factory=dict)

    def add(
        self,
        job: NewJob,
        after: Iterable[NewJob | str] = (),
        *,
        condition: DependencyCondition = DependencyCondition.COMPLETE,
    ) -> Self:
        """Add a job that starts when others have ended.

        Args:
            job: the job.
            after: jobs of this graph, or names of jobs that there are.
            condition: whether those must end well, or just end.
        """
        waits = {(each.name if isinstance(each, NewJob) else each): condition for each in after}
        return replace(
            self,
            _jobs={**self._jobs, job.name: job},
            _after={**self._after, job.name: {**self._after.get(job.name, {}), **waits}},
        )

    def jobs(self) -> list[NewJob]:
        """Return the jobs with their dependencies, each after those that it waits for.

        Raises:
            ValidationError: they wait for each other.
        """
        sorter = TopologicalSorter({name: list(waits) for name, waits in self._after.items()})
        try:
            order = list(sorter.static_order())
        except CycleError as error:
            raise ValidationError([f"each waits for the next: {' → '.join(error.args[1])}"]) from error
        return [self._joined(name) for name in order if name in self._jobs]

    def _joined(self, name: str) -> NewJob:
        job = self._jobs[name]
        own = {each["name"]: each for each in job.spec.get("dependsOn", ())}
        added = {other: {"name": other, "condition": str(condition)} for other, condition in self._after[name].items()}
        waits = list({**own, **added}.values())
        return replace(job, spec={**job.spec, "dependsOn": waits}) if waits else job
