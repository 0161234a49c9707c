"""All there is to know of a job or a schedule, in the order in which a person asks."""

from collections.abc import Iterator

from crawl_cli.output import say
from crawl_cli.tables import age, facts, moment
from crawl_client.models import Job, Schedule

_ERRORS = 10


def describe_job(job: Job) -> None:
    """Print a job."""
    status, spec = job.status, job.raw["spec"]
    progress = status.progress
    member = spec.get(job.type.lower()) or {}
    urls = [member["url"]] if "url" in member else [*member.get("urls", ()), *member.get("startUrls", ())]
    of_total = f", {progress.succeeded} of {progress.total} pages" if progress.total else ""
    facts(
        (
            ("Name", job.name),
            ("Display name", spec.get("displayName")),
            ("Namespace", job.namespace),
            ("UID", job.uid),
            ("Labels", "\n".join(f"{key}={value}" for key, value in job.labels.items())),
            ("Type", str(job.type)),
            ("Priority", str(job.priority)),
            ("Processor", member.get("processor")),
            ("Task", member.get("task")),
            ("URLs", "\n".join(urls[:_ERRORS]) + (f"\nand {len(urls) - _ERRORS} more" if len(urls) > _ERRORS else "")),
            ("Depends on", ", ".join(each["name"] for each in spec.get("dependsOn", ()))),
            ("Not before", spec.get("scheduledAt")),
            ("Created", f"{moment(job.created)} ({age(job.created)} ago)"),
            ("Phase", str(job.phase)),
            ("Reason", _reason(job)),
            ("Progress", f"{progress.percent}%{of_total}"),
            ("Failed pages", progress.failed or None),
            ("Bytes", progress.bytes or None),
            ("Started", moment(status.started_at)),
            ("Completed", moment(status.completed_at)),
            ("Duration", status.duration),
            ("Next attempt", moment(status.next_retry_at)),
            ("Retries", status.retry_count or None),
            ("Worker", status.worker_id),
            ("Result", status.result_url),
            ("Items", status.result.items if status.result is not None else None),
            ("Last error", status.last_error),
        )
    )
    _section("Attempts", _attempts(job))
    _section(f"Errors ({status.error_count})", _errors(job))
    _section("Conditions", _conditions(job))
    moves = (f"{moment(move.time)}  {move.origin} → {move.to}  {move.reason}" for move in status.history)
    _section("History", moves)


def describe_schedule(schedule: Schedule) -> None:
    """Print a schedule."""
    status, spec = schedule.status, schedule.spec
    facts(
        (
            ("Name", schedule.name),
            ("Display name", spec.display_name),
            ("Namespace", schedule.namespace),
            ("Schedule", spec.schedule),
            ("Time zone", spec.time_zone),
            ("Enabled", str(schedule.enabled).lower()),
            ("Job type", str(spec.job_template.spec.type)),
            ("Concurrency policy", str(spec.concurrency_policy)),
            ("Starting deadline", spec.starting_deadline_seconds),
            ("Last run", moment(status.last_executed_at)),
            ("Last good run", moment(status.last_successful_at)),
            ("Next run", moment(status.next_execution_at)),
            ("Runs", status.execution_count),
            ("Active", ", ".join(status.active)),
            ("Missed", status.missed_count or None),
        )
    )
    _section("Missed", (f"{moment(each.slot)}  {each.reason}" for each in status.last_missed))
    _section("Conditions", _conditions(schedule))


def _reason(job: Job) -> str:
    condition = job.condition("Reconciling")
    return ": ".join(part for part in (condition.get("reason", ""), condition.get("message", "")) if part)


def _attempts(job: Job) -> Iterator[str]:
    for each in job.status.attempts:
        ended = f"{each.outcome}" + (f" ({each.cause})" if each.cause else "") if each.outcome else "runs"
        parts = (f"{each.number}", f"{each.execution} {each.worker}", moment(each.started_at), ended, each.message)
        yield "  ".join(part for part in parts if part)


def _errors(job: Job) -> Iterator[str]:
    for each in job.status.errors[-_ERRORS:]:
        again = " (may go well another time)" if each.retryable else ""
        yield "  ".join(part for part in (each.code, each.url or "", each.message + again) if part)


def _conditions(item: Job | Schedule) -> Iterator[str]:
    for each in item.raw.get("status", {}).get("conditions", ()):
        yield f"{each['type']:<16}  {each['status']:<5}  {each.get('reason', '')}  {each.get('message', '')}".rstrip()


def _section(title: str, lines: Iterator[str]) -> None:
    found = list(lines)
    if found:
        say(f"{title}:")
        for line in found:
            say(f"  {line}")
