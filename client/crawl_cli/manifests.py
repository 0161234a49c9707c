"""Manifests from files and flags → jobs and schedules that can be submitted."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from crawl_api.enums import JobType
from crawl_api.names import KIND, SCHEDULE_KIND
from crawl_cli.exits import Refused
from crawl_client.dialects import dns_label, job_type, priority
from crawl_client.errors import ValidationError
from crawl_client.requested import NewJob, NewSchedule, generated
from crawl_client.validation import job_spec

_SPAN: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_MEMBERS: Final = {JobType.BATCH: "urls", JobType.PDF: "urls", JobType.SITE: "startUrls"}


def read(files: Iterable[Path]) -> Iterator[NewJob | NewSchedule]:
    """Read all jobs and schedules of YAML or JSON files; `-` is standard input. Lists are read too.

    Raises:
        Refused: a file cannot be read.
        ValidationError: with all that is wrong with the first that is invalid, and where it stands.
    """
    for file in files:
        for number, document in enumerate(_documents(file), 1):
            try:
                yield from _objects(document)
            except ValidationError as error:
                where = f"{file}, document {number}: " if number > 1 else f"{file}: "
                raise ValidationError([where + str(error)]) from error


def from_flags(
    urls: Sequence[str],
    *,
    kind: str | None,
    name: str | None,
    processor: str | None,
    task: str | None,
    values: Sequence[str],
    labels: Sequence[str],
    after: Sequence[str],
    at: str | None,
    **members: Any,
) -> NewJob:
    """Make a job of what was said on the command line; `members` are those of the spec, None where not said.

    Raises:
        Refused: it makes no job.
        ValidationError: with all that is wrong.
    """
    what = job_type(kind) if kind else _guessed(urls, processor, task)
    spec: dict[str, Any] = {key: value for key, value in members.items() if value is not None}
    if "priority" in spec:
        spec["priority"] = priority(spec["priority"])
    spec["type"] = what
    spec[what.lower()] = _member(what, urls, processor, task)
    if after:
        spec["dependsOn"] = [{"name": each} for each in after]
    if at:
        spec["scheduledAt"] = when(at).isoformat()
    for path, value in map(_assignment, values):
        _put(spec, path, value)
    label = dns_label(name) if name else generated(f"{what.lower()}-")
    if name and name != label:
        spec.setdefault("displayName", name)
    return NewJob(label, job_spec(spec), labels=dict(map(_pair, labels)))


def when(text: str) -> datetime:
    """Return the time that a text means: an RFC 3339 time, or `+1h30m` from now.

    Raises:
        Refused: it means none.
    """
    match = _SPAN.fullmatch(text.removeprefix("+"))
    if match and any(match.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return datetime.now(UTC) + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text!r} is no time: write 2026-12-01T02:00:00Z, or +1h30m from now") from None
    return moment if moment.tzinfo is not None else moment.astimezone()


def seconds(text: str) -> float:
    """Return how many seconds a text means: 90, 90s, 5m, 1h30m.

    Raises:
        Refused: it means none.
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    match = _SPAN.fullmatch(text)
    if not match or not any(match.groups()):
        raise Refused(f"{text!r} is no length of time: write 90s, 5m or 1h30m")
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + rest)


def _documents(file: Path) -> Iterator[Any]:
    import yaml

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        yield from yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ValidationError([f"{file} is no YAML: {' '.join(str(error).split())}"]) from error


def _objects(document: Any) -> Iterator[NewJob | NewSchedule]:
    if document is None:
        return
    if not isinstance(document, dict):
        raise ValidationError([f"a manifest holds names and values, not a {type(document).__name__}"])
    if document.get("kind") == "List":
        for item in document.get("items") or ():
            yield from _objects(item)
    elif document.get("kind") == SCHEDULE_KIND:
        yield NewSchedule.from_dict(document)
    else:
        if document.get("kind") != KIND:
            raise ValidationError([f"kind is {document.get('kind')!r}, not {KIND} or {SCHEDULE_KIND}"])
        yield NewJob.from_dict(document)


def _guessed(urls: Sequence[str], processor: str | None, task: str | None) -> JobType:
    if processor:
        return JobType.CUSTOM
    if task:
        return JobType.MAINTENANCE
    return JobType.BATCH if len(urls) > 1 else JobType.SINGLE


def _member(what: JobType, urls: Sequence[str], processor: str | None, task: str | None) -> dict[str, Any]:
    """Return the member of the spec that says what is done."""
    if what is JobType.CUSTOM:
        return {"processor": processor}
    if what is JobType.MAINTENANCE:
        if urls:
            raise Refused("a Maintenance job crawls no URLs; say --task and --set maintenance.parameters.…")
        return {"task": task}
    if not urls:
        raise Refused("what is to be crawled? name URLs, or a manifest with -f")
    return {"url": _one(urls)} if what is JobType.SINGLE else {_MEMBERS[what]: list(urls)}


def _one(urls: Sequence[str]) -> str:
    if len(urls) > 1:
        raise Refused(f"a Single job fetches one URL, not {len(urls)}; leave --type out, or say --type batch")
    return urls[0]


def _assignment(text: str) -> tuple[list[str], Any]:
    import yaml

    path, equals, value = text.partition("=")
    if not equals or not path:
        raise Refused(f"--set {text!r} has not the form fetch.delaySeconds=2")
    return path.removeprefix("spec.").split("."), yaml.safe_load(value)


def _put(spec: dict[str, Any], path: list[str], value: Any) -> None:
    *parts, last = path
    for part in parts:
        spec = spec.setdefault(part, {})
        if not isinstance(spec, dict):
            raise Refused(f"--set {'.'.join(path)}: {part} is set to a value that has no members")
    spec[last] = value


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Refused(f"{text!r} has not the form key=value")
    return key, value
