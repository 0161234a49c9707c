"""`/v1/events`: what happens to jobs and schedules, as server-sent events and over WebSocket."""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from crawl_gateway.desk import Desk
from crawl_gateway.errors import RefusedError, bad_request, refused
from crawl_gateway.faces import answer
from crawl_gateway.session import Session, SessionOf, open_session, token_of
from crawl_gateway.streams import Message, Wanted, bounded, follow, since_of
from crawl_gateway.v1.bodies import problems

router: Final = APIRouter(tags=["events"])

Kind = Literal["jobs", "schedules"]
_MEDIA: Final = "text/event-stream"
_PROTOCOL: Final = "events.crawl-operator.io"
_TOKEN: Final = "base64url.bearer.authorization.k8s.io."  # noqa: S105 - Kubernetes' own prefix of a subprotocol
_RETRY: Final = b"retry: 2000\n\n"


class EventStream(StreamingResponse):
    """An answer that goes on; it ends at once when the client is gone, and when it takes nothing any more."""

    media_type = _MEDIA

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what comes."""

        async def send_soon(message: Any) -> None:
            await bounded(send(message))

        tasks = [
            asyncio.create_task(self.listen_for_disconnect(receive)),
            asyncio.create_task(self.stream_response(send_soon)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if isinstance(self.body_iterator, AsyncGenerator):
                await self.body_iterator.aclose()


@router.get(
    "/events",
    operation_id="followEvents",
    summary="Follow what happens",
    response_class=EventStream,
    responses={
        200: {
            "description": "Server-sent events ADDED, MODIFIED and DELETED with the object as data; READY when all "
            "there is was sent; RESET when events were missed and everything comes anew; ENDED with the reason.",
            "content": {_MEDIA: {"schema": {"type": "string"}}},
        },
        **problems(400, 404),
    },
)
async def events(  # noqa: PLR0913, PLR0917 - what a stream may be asked
    session: SessionOf,
    kind: Annotated[Kind, Query(description="What is followed.")] = "jobs",
    name: Annotated[str, Query(max_length=253, description="Of this object alone.")] = "",
    snapshot: Annotated[bool, Query(description="First what there is.")] = False,  # noqa: FBT002 - a flag
    since: Annotated[str, Query(description="A `resourceVersion` of a list: go on from there.")] = "",
    last: Annotated[str, Header(alias="Last-Event-ID", description="Go on after that event.")] = "",
) -> Response:
    """Follow what happens to the objects of a namespace; lists say from which version on (`resourceVersion`)."""
    wanted = Wanted(since_of(last or since), snapshot, name)
    stream = _counted(session, _desk(session, kind), wanted, "sse")
    first = await anext(stream)  # what is wrong shows before the answer has begun
    return EventStream(_lines(first, stream), headers={"X-Accel-Buffering": "no"})


@router.websocket("/events/ws")
async def socket(websocket: WebSocket) -> None:
    """Follow what happens over WebSocket: the same parameters, the same events as JSON texts.

    Browsers, which cannot set headers here, say their token as Kubernetes has it: as a subprotocol.
    """
    try:
        _same_origin(websocket)
        session = await open_session(websocket, _token(websocket))
        kind = websocket.query_params.get("kind", "jobs")
        if kind not in {"jobs", "schedules"}:
            raise bad_request("kind: jobs or schedules is wanted")
        query = websocket.query_params
        last = query.get("lastEventId") or query.get("since", "")
        wanted = Wanted(since_of(last), query.get("snapshot") == "true", query.get("name", ""))
        stream = _counted(session, _desk(session, kind), wanted, "websocket")
        first = await anext(stream)
    except RefusedError as error:
        await websocket.send_denial_response(answer(websocket.scope, error.problem))
        return
    offered = websocket.scope.get("subprotocols") or []
    await websocket.accept(_PROTOCOL if _PROTOCOL in offered else None)
    tasks = [asyncio.create_task(_texts(websocket, first, stream)), asyncio.create_task(_until_closed(websocket))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await stream.aclose()
    with contextlib.suppress(RuntimeError):  # the client was faster
        await websocket.close(1001)


def _desk(session: Session, kind: str) -> Desk[Any]:
    return session.jobs if kind == "jobs" else session.schedules


async def _counted(session: Session, desk: Desk[Any], wanted: Wanted, form: str) -> AsyncGenerator[Message, None]:
    with session.core.streams.taken(session.caller.name), session.core.metrics.streams.labels(form).track_inprogress():
        async with contextlib.aclosing(follow(session, desk, wanted)) as stream:
            async for message in stream:
                yield message


async def _lines(first: Message, rest: AsyncGenerator[Message, None]) -> AsyncGenerator[bytes, None]:
    yield _RETRY + _line(first)
    async with contextlib.aclosing(rest) as messages:
        async for message in messages:
            yield _line(message)


def _line(message: Message) -> bytes:
    if not message.type:
        return b": alive\n\n"
    head = f"id: {message.version}\n" if message.version else ""
    return f"{head}event: {message.type}\ndata: ".encode() + message.data + b"\n\n"


async def _texts(websocket: WebSocket, first: Message, rest: AsyncGenerator[Message, None]) -> None:
    await bounded(websocket.send_text(_text(first)))
    async for message in rest:
        if message.type:  # the protocol has its own signs of life
            await bounded(websocket.send_text(_text(message)))


def _text(message: Message) -> str:
    identity = f'"id":"{message.version}",' if message.version else ""
    return f'{{{identity}"type":"{message.type}","data":{message.data.decode()}}}'


async def _until_closed(websocket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.receive_text()


def _token(websocket: WebSocket) -> str:
    for offered in websocket.scope.get("subprotocols") or []:
        if offered.startswith(_TOKEN):
            encoded = offered.removeprefix(_TOKEN)
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("ascii")
            except (binascii.Error, ValueError) as error:
                raise bad_request("the subprotocol with the token is not base64url") from error
    return token_of(websocket)


def _same_origin(websocket: WebSocket) -> None:
    """Pass if no page of another origin asks, unless it may: browsers let pages open WebSockets to anywhere."""
    origin = websocket.headers.get("origin", "")
    own = origin.partition("://")[2] == websocket.headers.get("host", "")
    allowed: tuple[str, ...] = websocket.app.state.core.settings.origins
    if origin and not own and origin not in allowed:
        raise refused(403, "Forbidden", f"pages of {origin[:200]} may not follow events here")
