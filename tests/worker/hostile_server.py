"""A server that means harm: bombs, streams without end, answers that drip, and heads that do not stop."""

import asyncio
import contextlib
import gzip
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import brotli
import zstandard

BOMB_BYTES = 64 << 20
_PIECE = 64 << 10
_ODD_JSON = b'{"far": 1e999, "none": [NaN, -Infinity], "text": "\\ud800\\u0000", "many": 1' + b"0" * 3000 + b"}"


def _gzipped(times: int) -> bytes:
    """Return zeros, gzipped so many times."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    body = b"".join(compressor.compress(zeros) for _ in range(BOMB_BYTES >> 20)) + compressor.flush()
    for _ in range(times - 1):
        body = gzip.compress(body)
    return body


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(BOMB_BYTES))
    return stream.getvalue()


def _brotli() -> bytes:
    compressor: Any = brotli.Compressor(quality=1)
    zeros = bytes(1 << 20)
    return bytes(b"".join(compressor.process(zeros) for _ in range(BOMB_BYTES >> 20)) + compressor.finish())


def _json_ld(document: bytes) -> bytes:
    return b'<script type="application/ld+json">' + document + b"</script>"


def _laughs() -> bytes:
    """Return a document whose entities, resolved, come to a billion words."""
    entities = b"".join(b"<!ENTITY e%d '%b'>" % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10))
    return b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY e0 'ha'>" + entities + b"]><a><div>&e9;</div></a>"


@cache
def answers() -> dict[str, bytes]:
    """Return answers that are sent as they are, by path."""
    title = b"<title>" + b"T" * 10_000_000 + b"</title><p>text</p>"
    attributes = b"<p " + b" ".join(b"a%d=1" % n for n in range(200_000)) + b">text"
    links = b"".join(b'<a href="/%d">x</a>' % n for n in range(60_000))
    return {
        "gzip": _answer(_gzipped(1), "Content-Encoding: gzip"),
        "gzip-twice": _answer(_gzipped(2), "Content-Encoding: gzip, gzip"),
        "deflate": _answer(zlib.compress(bytes(BOMB_BYTES)), "Content-Encoding: deflate"),
        "br": _answer(_brotli(), "Content-Encoding: br"),
        "zstd": _answer(zstandard.compress(bytes(BOMB_BYTES)), "Content-Encoding: zstd"),
        "zip": _answer(_zip(), kind="application/zip"),
        "title": _answer(title),
        "attributes": _answer(attributes),
        "links": _answer(links),
        "deep": _answer(b"<div>" * 200_000),
        "tables": _answer(b"<table><tr><td>" * 20_000),
        "comment": _answer(b"<!--" * 1_000_000),
        "entities": _answer(b"&amp" * 1_000_000),
        "base": _answer(b'<base href="http://[::/">' + links),
        "nul": _answer(b"<title>a\0b</title>\0\0<p>\xff\xfe\0"),
        "surrogates": _answer(b"<title>&#xD800;</title><p>&#xDFFF;&#x110000;"),
        "nested": _answer(b"<div>" * 1000 + b"word " * 10_000),
        "wide": _answer(b"<table><tr>" + b"<td>x" * 30_000),
        "rows": _answer(b"<table>" + b"<tr><td>x" * 30_000),
        "cells": _answer(b"<table><tr>" + b"<td>x" * 1_000_000),
        "images": _answer(b"".join(b'<img src="/%d" alt="%b">' % (n, b"x" * 100) for n in range(20_000))),
        "metas": _answer(b"".join(b'<meta name="%d" content="x">' % n for n in range(100_000))),
        "json-ld": _answer(_json_ld(b"[" + b"[]," * 60_000 + b"[]]") * 50),
        "json-ld-deep": _answer(_json_ld(b"[" * 100_000) + _json_ld(b'{"author":' * 5000 + b"1" + b"}" * 5000)),
        "json-deep": _answer(b"[" * 1_000_000, kind="application/json"),
        "json-odd": _answer(_ODD_JSON, kind="application/json"),
        "json-ld-odd": _answer(_json_ld(_ODD_JSON)),
        "laughs": _answer(_laughs(), kind="application/xml"),
        "charset": _answer(b"<p>text", kind="text/html; charset=" + "x" * 5000),
        "no-type": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\x7fELF",
        "self": b"HTTP/1.1 302 Found\r\nLocation: /self\r\nContent-Length: 0\r\n\r\n",
        "ping": b"HTTP/1.1 302 Found\r\nLocation: /pong\r\nContent-Length: 0\r\n\r\n",
        "pong": b"HTTP/1.1 302 Found\r\nLocation: /ping\r\nContent-Length: 0\r\n\r\n",
        "far": b"HTTP/1.1 302 Found\r\nLocation: /" + b"x" * 10_000 + b"\r\nContent-Length: 0\r\n\r\n",
        "lying-length": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 99999999999\r\n\r\n<p>little",
        "huge-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nlittle",
        "many-headers": b"HTTP/1.1 200 OK\r\n" + b"X-Many: header\r\n" * 50_000 + b"Content-Length: 2\r\n\r\nhi",
        "continuations": b"HTTP/1.1 200 OK\r\nX: a\r\n" + b" more\r\n" * 50_000 + b"Content-Length: 2\r\n\r\nhi",
    }


def _answer(body: bytes, *headers: str, kind: str = "text/html") -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


ENDLESS = {
    "endless-body": (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", b"<p>more</p>" * 5000),
    "endless-head": (b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 4000),
    "endless-header": (b"HTTP/1.1 200 OK\r\nX-One: ", b"more" * 16_000),
    "endless-continuation": (b"HTTP/1.1 200 OK\r\nX-One: 1\r\n", b" and more\r\n" * 6000),
    "endless-status": (b"HTTP/1.1 200 ", b"O" * _PIECE),
    "endless-100": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
    "endless-trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: trailer\r\n" * 4000),
}
"""What comes first, and what comes again and again, as fast as it is taken."""

DRIPPING = {
    "slow-head": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nslow",
    "slow-body": b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n",
}
"""Sent byte by byte, two a second, and then nothing for ever."""


@dataclass
class Hostile:
    """The server, and what it was asked for."""

    url: str = ""
    robots: str = ""
    """What of it is served as robots.txt."""
    asked: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes of streams without end that were taken, by path."""

    @property
    def urls(self) -> list[str]:
        return [f"{self.url}/{name}" for name in (*answers(), *ENDLESS, *DRIPPING)]


@asynccontextmanager
async def hostile() -> AsyncIterator[Hostile]:
    """Serve on loopback."""
    state = Hostile()
    ready = answers()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            path = request.split()[1].decode()[1:]
            path = state.robots if path == "robots.txt" else path
            state.asked[path] += 1
            if path in ENDLESS:
                first, again = ENDLESS[path]
                writer.write(first)
                while True:
                    writer.write(again)
                    await writer.drain()
                    state.sent[path] += len(again)
            if path in DRIPPING:
                for number in range(4000):
                    writer.write(DRIPPING[path][number : number + 1] or b".")
                    await writer.drain()
                    await asyncio.sleep(0.5)
            writer.write(ready.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield state
    finally:
        server.close()
