"""`/v1/jobs/{id}/webhooks`: who is told how a job ends, and what has become of each message."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter
from pydantic import ValidationError as Malformed
from starlette.requests import Request
from starlette.responses import Response

from crawl_api.base import Time
from crawl_api.notify import Webhook
from crawl_client.errors import ValidationError
from crawl_client.models import Job
from crawl_gateway.errors import RefusedError, missing, refused
from crawl_gateway.faces import Json, gives, takes
from crawl_gateway.session import Session, SessionOf
from crawl_gateway.v1 import examples
from crawl_gateway.v1.bodies import problems, sent
from crawl_gateway.v1.models import Model, shown
from crawl_gateway.v1.parameters import Id
from crawl_gateway.webhooks.ledger import State, end_of, hooks_of, id_of, read

router: Final = APIRouter(tags=["webhooks"])

_TRIES: Final = 5


class WebhookDelivery(Model):
    """What has become of the message about the job's last end."""

    state: State
    tries: int
    at: Time
    """When it was delivered or given up, or is tried next."""
    error: str
    """Why the last try failed."""


class KnownWebhook(Webhook):
    """A webhook of a job."""

    id: str
    delivery: WebhookDelivery | None = None
    """None while the job goes on, and where this end is not told."""


class Webhooks(Model):
    """All webhooks of a job."""

    model_config = shown(examples.WEBHOOKS)

    items: list[KnownWebhook]


MODELS: Final = (Webhook, Webhooks)


@router.get(
    "/jobs/{id}/webhooks",
    operation_id="listWebhooks",
    summary="List webhooks",
    responses={200: gives("Each, and what has become of its message.", Webhooks), **problems(400, 404)},
)
async def list_webhooks(id: Id, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """List who is told how a job ends."""
    return Json(_shown(await session.jobs.get(id)))


@router.post(
    "/jobs/{id}/webhooks",
    operation_id="addWebhook",
    summary="Add a webhook",
    status_code=201,
    openapi_extra=takes(Webhook, example=examples.WEBHOOK),
    responses={201: gives("All webhooks of the job.", Webhooks), **problems(400, 404, 409, 413, 422)},
)
async def add(id: Id, request: Request, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Let a URL be told; where the job has ended already, at once. One that is told already gets the new settings."""
    try:
        hook = Webhook.model_validate(await sent(request))
    except Malformed as error:
        raise ValidationError(
            [f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors()]
        ) from error
    return Json(_shown(await _change(session, id, lambda hooks: [*_without(hooks, id_of(hook)), hook])), 201)


@router.delete(
    "/jobs/{id}/webhooks/{webhook}",
    operation_id="removeWebhook",
    summary="Remove a webhook",
    status_code=204,
    responses={204: gives("It is told no more."), **problems(400, 404, 409)},
)
async def remove(id: Id, webhook: str, session: SessionOf) -> Response:  # noqa: A002 - the word on the wire
    """Let a URL be told no more."""

    def without(hooks: list[Webhook]) -> list[Webhook]:
        if len(left := _without(hooks, webhook)) == len(hooks):
            raise missing("webhooks", webhook)
        return left

    await _change(session, id, without)
    return Response(status_code=204)


async def _change(session: Session, text: str, change: Callable[[list[Webhook]], list[Webhook]]) -> Job:
    """Change the list as it is now; whoever else changes the job meanwhile is not overwritten."""
    job = await session.jobs.get(text, "patch")
    for _ in range(_TRIES):
        hooks = change(list(hooks_of(job)))
        notify = [hook.model_dump(mode="json", by_alias=True, exclude_defaults=True) for hook in hooks]
        try:
            return await session.jobs.update(job.name, {"notify": notify}, version=_version(job))
        except RefusedError as error:
            if error.problem.status != 412:
                raise
            job = await session.jobs.get(job.name, "patch")
    raise refused(409, "Conflict", f"{job.name} changes too fast; try again")


def _version(job: Job) -> str:
    return str(job.raw["metadata"]["resourceVersion"])


def _without(hooks: list[Webhook], hook_id: str) -> list[Webhook]:
    return [hook for hook in hooks if id_of(hook) != hook_id]


def _shown(job: Job) -> dict[str, Any]:
    ledger = read(job)
    items = []
    for hook in hooks_of(job):
        item: dict[str, Any] = {"id": id_of(hook), **hook.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
        if (found := ledger.get(id_of(hook))) is not None and found.end == (end_of(job) or found.end):
            item["delivery"] = found.model_dump(mode="json", by_alias=True, exclude={"by", "end"})
        items.append(item)
    return {"items": items}
