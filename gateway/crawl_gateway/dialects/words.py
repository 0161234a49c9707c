"""What all dialects share: states in their words, and types by names of their own."""

from collections.abc import Mapping
from typing import Any, Final, Unpack

from crawl_api.enums import JobType, Phase
from crawl_client import dialects
from crawl_client.models import Job
from crawl_client.requested import NewJob, Options, custom, of_type

TYPES: Final[Mapping[JobType, str]] = {
    JobType.SINGLE: "single_crawl",
    JobType.BATCH: "batch_crawl",
    JobType.SITE: "site_crawl",
    JobType.PDF: "pdf",
    JobType.MAINTENANCE: "maintenance",
    JobType.CUSTOM: "custom",
}
"""What job types are called where types are words."""

BUILT_IN: Final[Mapping[str, JobType]] = {
    word: job_type for job_type, word in TYPES.items() if job_type is not JobType.CUSTOM
}
"""Types that need no processor of somebody's own."""


def phases_of(states: Mapping[Phase, str], word: str) -> frozenset[Phase]:
    """Return the phases for which a dialect has this word, whatever its case; else those that anybody's word means.

    >>> from crawl_client import Phase
    >>> phases_of({Phase.FAILED: "failed", Phase.DEAD_LETTER: "failed"}, "FAILED") == {Phase.FAILED, Phase.DEAD_LETTER}
    True

    Raises:
        ValidationError: the word is unknown.
    """
    own = frozenset(phase for phase, state in states.items() if dialects.plain(state) == dialects.plain(word))
    return own or dialects.phases(word)


def type_name(job: Job) -> str:
    """Return a job's type where types and processors share one list of names."""
    return processor(job) or TYPES[job.type]


def processor(job: Job) -> str:
    """Return the name of the processor of a job of type Custom; empty for others."""
    custom: Mapping[str, Any] = job.raw["spec"].get("custom") or {}
    return str(custom.get("processor", ""))


def made(type_word: str, parameters: Mapping[str, Any], **options: Unpack[Options]) -> NewJob:
    """Make a job where types and processors share one list of names; the inverse of `type_name`.

    Raises:
        ValidationError: with all that is wrong with it.
    """
    built_in = BUILT_IN.get(type_word)
    return of_type(built_in, parameters, **options) if built_in else custom(type_word, parameters, **options)


def told(payload: Any) -> dict[str, Any]:
    """Return what a processor is told: parameters by name; what is no map becomes one of a single name.

    >>> told([1, 2]), told(None)
    ({'payload': [1, 2]}, {})
    """
    if payload is None:
        return {}
    return payload if isinstance(payload, dict) else {"payload": payload}
