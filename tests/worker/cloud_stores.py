"""Google Cloud Storage and Azure Blob Storage on loopback: as much of their protocols as storing and reading takes.

Their emulators are programs of other languages, to be built or installed for a handful of requests. These servers check
who signs in, but no signature.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote
from xml.sax.saxutils import unescape

from aiohttp import web
from operator_stand_in import serving

BUCKET = "team-a-crawls"
_TIME = "Wed, 01 Jan 2020 12:00:00 GMT"
_TOLD = f"<Last-Modified>{_TIME}</Last-Modified><Etag>1</Etag>"
_STORED = {"ETag": '"1"', "Last-Modified": _TIME}


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

    def listed(self, prefix: str, entry: str) -> str:
        """Return what lies under a prefix: an entry for each, made from its name and size."""
        found = ((name, body) for name, body in sorted(self.objects.items()) if name.startswith(prefix))
        return "".join(entry.format(name, len(body)) for name, body in found)

    def removed(self, name: str) -> bool:
        """Remove what lies under a name; say whether there was anything."""
        return self.objects.pop(name, None) is not None


def missing(code: str) -> web.Response:
    return web.Response(status=HTTPStatus.NOT_FOUND, text=f"<Error><Code>{code}</Code></Error>")


async def google(store: CloudStore, name: str, request: web.Request) -> web.Response:
    """Answer as the XML API does."""
    body = await request.read()
    answer = web.Response(status=HTTPStatus.BAD_REQUEST)
    upload, part = request.query.get("uploadId", ""), request.query.get("partNumber", "")
    match request.method:
        case "POST" if "uploads" in request.query:
            kind = "InitiateMultipartUploadResult"
            answer = web.Response(text=f"<{kind}><UploadId>{name}</UploadId></{kind}>")
        case "PUT" if upload:
            store.parts[part] = body
            answer = web.Response(headers={"ETag": f'"{part}"'})
        case "POST" if upload == name:
            store.assemble(name, re.findall(r"<PartNumber>(\d+)</PartNumber>", body.decode()))
            answer = web.Response(
                text='<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>'
            )
        case "PUT":
            store.objects[name] = body
            answer = web.Response(headers=_STORED)
        case "GET" if not name:
            entry = "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2020-01-01T12:00:00Z</LastModified></Contents>"
            found = store.listed(request.query["prefix"], entry)
            answer = web.Response(text=f"<ListBucketResult>{found}</ListBucketResult>")
        case "GET" | "HEAD":
            answer = store.told(name)
        case "DELETE":
            answer = web.Response(status=HTTPStatus.NO_CONTENT if store.removed(name) else HTTPStatus.NOT_FOUND)
    return answer


async def azure(store: CloudStore, name: str, request: web.Request) -> web.Response:
    """Answer as the Blob service does."""
    body = await request.read()
    answer = web.Response(status=HTTPStatus.BAD_REQUEST)
    match request.method, request.query.get("comp"):
        case "PUT", "block":
            store.parts[request.query["blockid"]] = body
            answer = web.Response(status=HTTPStatus.CREATED)
        case "PUT", "blocklist":
            store.assemble(name, [unescape(part) for part in re.findall(r"<Uncommitted>(.*?)</", body.decode())])
            answer = web.Response(status=HTTPStatus.CREATED, headers=_STORED)
        case "PUT", None if request.headers.get("x-ms-blob-type") == "BlockBlob":
            store.objects[name] = body
            answer = web.Response(status=HTTPStatus.CREATED, headers=_STORED)
        case "GET", "list":
            properties = "<Content-Length>{}</Content-Length><Content-Type>x</Content-Type>"
            entry = f"<Blob><Name>{{}}</Name><Properties>{properties}{_TOLD}</Properties></Blob>"
            found = store.listed(request.query["prefix"], entry)
            answer = web.Response(text=f"<EnumerationResults><Blobs>{found}</Blobs></EnumerationResults>")
        case "GET" | "HEAD", None:
            answer = store.told(name)
        case "POST", "batch":
            answer = _removed_together(store, re.findall(rf"^DELETE /{BUCKET}/(\S+) ", body.decode(), re.MULTILINE))
    return answer


def _removed_together(store: CloudStore, paths: list[str]) -> web.Response:
    """Remove some and answer for each by itself."""
    body = ""
    for number, path in enumerate(paths):
        status = "202 Accepted" if store.removed(unquote(path)) else "404 Not Found"
        head = f"Content-Type: application/http\r\nContent-ID: {number}\r\n\r\n"
        body += f"--part\r\n{head}HTTP/1.1 {status}\r\n\r\n\r\n"
    return web.Response(
        status=HTTPStatus.ACCEPTED,
        body=f"{body}--part--\r\n".encode(),
        headers={"Content-Type": "multipart/mixed; boundary=part"},
    )


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
