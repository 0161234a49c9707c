"""What all dialects share: states in their words, and types by names of their own."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar, Unpack

from crawl_api.enums import JobType, Phase
from crawl_client import dialects
from crawl_client.errors import ValidationError
from crawl_client.models import Job
from crawl_client.requested import NewJob, NewSchedule, Options, custom, of_type

N = TypeVar("N", NewJob, NewSchedule)

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


def within(new: N, most: int) -> N:
    """Return what is to be stored, unless it lists more URLs than a job may have.

    Raises:
        ValidationError: it does. The operator would refuse it too, but only once it is stored.
    """
    spec: Mapping[str, Any] = new.spec
    if isinstance(new, NewSchedule):
        spec = spec["jobTemplate"]["spec"]
    for member in ("batch", "pdf"):
        count = len((spec.get(member) or {}).get("urls", ()))
        if count > most:
            raise ValidationError([f"{member}.urls: {count} URLs, but at most {most} are allowed; use several jobs"])
    return new
