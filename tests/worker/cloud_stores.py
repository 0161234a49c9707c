"""Google Cloud Storage and Azure Blob Storage on loopback: as much of their protocols as storing and reading takes.

Their emulators are programs of other languages, to be built or installed for a handful of requests. These servers check
who signs in, but no signature.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from xml.sax.saxutils import unescape

from aiohttp import web
from operator_stand_in import serving

BUCKET = "team-a-crawls"
_STORED = {"ETag": '"1"', "Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT"}


@dataclass
class CloudStore:
    """What a store holds, and how it came."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    """By name, without the bucket's."""
    parts: dict[str, bytes] = field(default_factory=dict)
    """Of uploads that have not ended."""
    most_parts: int = 0
    """Of one upload."""
    logins: set[str] = field(default_factory=set)
    """How writers signed in: scheme and account."""

    def assemble(self, name: str, parts: list[str]) -> None:
        """End an upload: what comes from now on under this name is these parts, in this order."""
        self.objects[name] = b"".join(self.parts.pop(part) for part in parts)
        self.most_parts = max(self.most_parts, len(parts))

    def told(self, name: str) -> web.Response:
        """Return what lies under a name."""
        body = self.objects.get(name)
        return missing("BlobNotFound") if body is None else web.Response(body=body, headers=_STORED)


def missing(code: str) -> web.Response:
    return web.Response(status=HTTPStatus.NOT_FOUND, text=f"<Error><Code>{code}</Code></Error>")


async def google(store: CloudStore, name: str, request: web.Request) -> web.Response:
    """Answer as the XML API does."""
    body = await request.read()
    upload, part = request.query.get("uploadId", ""), request.query.get("partNumber", "")
    match request.method:
        case "POST" if "uploads" in request.query:
            kind = "InitiateMultipartUploadResult"
            return web.Response(text=f"<{kind}><UploadId>{name}</UploadId></{kind}>")
        case "PUT" if upload:
            store.parts[part] = body
            return web.Response(headers={"ETag": f'"{part}"'})
        case "POST" if upload == name:
            store.assemble(name, re.findall(r"<PartNumber>(\d+)</PartNumber>", body.decode()))
            return web.Response(text='<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>')
        case "PUT":
            store.objects[name] = body
            return web.Response(headers=_STORED)
        case "GET" | "HEAD":
            return store.told(name)
    return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED)


async def azure(store: CloudStore, name: str, request: web.Request) -> web.Response:
    """Answer as the Blob service does."""
    body = await request.read()
    match request.method, request.query.get("comp"):
        case "PUT", "block":
            store.parts[request.query["blockid"]] = body
            return web.Response(status=HTTPStatus.CREATED)
        case "PUT", "blocklist":
            store.assemble(name, [unescape(part) for part in re.findall(r"<Uncommitted>(.*?)</", body.decode())])
            return web.Response(status=HTTPStatus.CREATED, headers=_STORED)
        case "PUT", None if request.headers.get("x-ms-blob-type") == "BlockBlob":
            store.objects[name] = body
            return web.Response(status=HTTPStatus.CREATED, headers=_STORED)
        case (("GET" | "HEAD"), None):
            return store.told(name)
    return web.Response(status=HTTPStatus.BAD_REQUEST)


_DIALECTS = {"gs": google, "az": azure}


@asynccontextmanager
async def cloud_store(scheme: str) -> AsyncIterator[CloudStore]:
    """Serve a store with one bucket, that of Google (`gs`) or Azure (`az`)."""
    store = CloudStore()

    async def handle(request: web.Request) -> web.StreamResponse:
        bucket, _, name = request.path[1:].partition("/")
        if request.method not in {"GET", "HEAD"}:
            store.logins.add(request.headers.get("Authorization", "").partition(":")[0])
        return await _DIALECTS[scheme](store, name, request) if bucket == BUCKET else missing("NoSuchBucket")

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handle)
    async with serving(app) as port:
        store.url = f"http://127.0.0.1:{port}"
        yield store
