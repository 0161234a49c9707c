"""A small internet in a network namespace of its own: one public site, a name server that lies, and inner addresses.

Run as a program inside `unshare --map-root-user --net --mount`: there, addresses that no test could listen on elsewhere
(cloud metadata, private networks, translated ones) are this process's own, and every connection to them is counted.
Prints one JSON object.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

from operator_stand_in import StandIn, stand_in
from worker_process import Worker, assignment, eventually

PUBLIC = "9.9.9.9"
PORTS = (80, 443, 2379, 6443, 10250)
INNER = (
    *("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "168.63.129.16", "100.100.100.200"),
    *("127.0.0.2", "198.18.0.1", "192.0.2.1", "240.0.0.1"),
    *("fd00::1", "fd00:ec2::254", "64:ff9b::a00:1", "2002:a00:1::1", "2001:0:a00:1::1", "2001:db8::1"),
    *("fe80::77", "::a00:1", "fec0::1", "64:ff9b:1::a00:1"),
)
SPELLINGS = (
    *("10.1", "0x0a000001", "012.0.0.1", "167772161", "10.0.0.1.", "%31%30.0.0.1", "①⓪.0.0.1", "[::ffff:10.0.0.1]"),
    *("0.0.0.0", "127.1", "localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:a9fe:a9fe]"),
)
NAMES: dict[str, list[list[str]]] = {
    "good.example": [[PUBLIC]],
    "inner.example": [["10.0.0.1"]],
    "mixed.example": [[PUBLIC, "10.0.0.1"]],
    "mixed-six.example": [[PUBLIC, "fd00::1"]],
    "mapped.example": [["::ffff:10.0.0.1"]],
    "nat64.example": [["64:ff9b::a00:1"]],
    "rebinding.example": [[PUBLIC], ["10.0.0.1"]],
    "robots.example": [[PUBLIC]],
}
"""Addresses by name: of the first question, the second, and so on; the last holds from then on."""


def names_of(inner: str) -> str:
    return f"[{inner}]" if ":" in inner else inner


def targets() -> list[str]:
    """Return every URL that must not be reached."""
    hosts = [
        *map(names_of, INNER),
        *SPELLINGS,
        *(name for name in NAMES if name.split(".")[0] not in {"good", "robots"}),
    ]
    return [f"http://{host}/secret" for host in hosts if host != "rebinding.example"] + [
        *(f"{scheme}://10.0.0.1:{port}/secret" for scheme in ("http", "https") for port in PORTS),
    ]


class NameServer(asyncio.DatagramProtocol):
    """Answers A and AAAA as `NAMES` has it, with a life of zero seconds."""

    def __init__(self) -> None:
        self.asked: dict[tuple[str, int], int] = {}

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        labels, at = [], 12
        while size := data[at]:
            labels.append(data[at + 1 : at + 1 + size].decode().lower())
            at += size + 1
        (kind,) = struct.unpack(">H", data[at + 1 : at + 3])
        name = ".".join(labels)
        number = self.asked[name, kind] = self.asked.get((name, kind), -1) + 1
        rounds = NAMES.get(name, [[]])
        wanted = IPv4Address if kind == 1 else IPv6Address if kind == 28 else None
        found = [ip_address(each) for each in rounds[min(number, len(rounds) - 1)]]
        answers = [each.packed for each in found if isinstance(each, wanted)] if wanted else []
        head = data[:2] + struct.pack(">HHHHH", 0x8180 if name in NAMES else 0x8183, 1, len(answers), 0, 0)
        records = [b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(each)) + each for each in answers]
        self._transport.sendto(head + data[12 : at + 5] + b"".join(records), addr)


class Listeners:
    """Accept on every address and port, and serve the public site on its own."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.served: list[str] = []

    async def start(self) -> None:
        for port in PORTS:
            for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                listener = socket.socket(family)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind((host, port))
                await asyncio.start_server(self._accepted, sock=listener)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        if (address, port) != (PUBLIC, 80):
            self.reached.append(f"{address}:{port}")
            writer.close()
            return
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        host = head.lower().split("host: ")[1].split("\r\n")[0]
        self.served.append(f"{host}{path}")
        writer.write(answer(host, path))
        await writer.drain()
        writer.close()


def answer(host: str, path: str) -> bytes:
    """Return what the public site says."""
    if path == "/robots.txt":
        if host == "robots.example":
            return redirect("http://10.0.0.1/robots.txt")
        return page("User-agent: *\nAllow: /\nSitemap: http://10.0.0.1/sitemap.xml\n", "text/plain")
    if path.startswith("/to/"):
        return redirect(targets()[int(path.removeprefix("/to/"))])
    links = "".join(f'<a href="{url}">x</a>' for url in targets())
    return page(f'<base href="/"><link rel="canonical" href="http://10.0.0.1/secret"><p>public</p>{links}', "text/html")


def redirect(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def page(text: str, kind: str) -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def prepare(folder: Path) -> None:
    """Give this namespace its addresses and its name server."""
    run("ip", "link", "set", "lo", "up")
    for address in (PUBLIC, *INNER):
        run("ip", "address", "replace", f"{address}/{128 if ':' in address else 32}", "dev", "lo")
    files = {
        "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        "nsswitch.conf": "hosts: files dns\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        if (path := Path("/etc") / name).exists():
            run("mount", "--bind", str(folder / name), str(path.resolve()))


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def connectable() -> Iterator[str]:
    """Yield the inner addresses to which a connection is possible here, so that none that is made could be missed."""
    for address in INNER:
        try:
            with socket.create_connection((address, 80), 1):
                yield address
        except OSError:
            continue


async def crawl(folder: Path, operator: StandIn, name: str, job: dict[str, Any]) -> dict[str, Any]:
    (folder / name).mkdir()
    ended = await Worker(folder / name).run(job | {"allowedNetworks": []}, 100)
    told = {line["url"]: line.get("error", {}).get("code") for line in operator.lines}
    operator.results = None
    return {"exit": ended.code, "told": told, "failure": ended.outcome.failure and ended.outcome.failure.code}


async def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder)
        loop = asyncio.get_running_loop()
        _, names = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 53))
        listeners = Listeners()
        await listeners.start()
        open_ = await asyncio.to_thread(lambda: list(connectable()))
        await eventually(lambda: len(listeners.reached) >= len(open_))
        counted = len(listeners.reached)
        listeners.reached.clear()
        async with stand_in(StandIn()) as operator:
            direct = assignment(operator, *targets())
            routed = [f"http://good.example/to/{n}" for n in range(len(targets()))]
            site = {"startUrls": ["http://good.example/"], "scope": "Any", "sitemapUrls": ["http://10.0.0.1/s.xml"]}
            crawls = {
                "direct": direct,
                "redirected": assignment(operator, *routed),
                "pdf": direct | {"type": "Pdf", "batch": None, "pdf": direct["batch"]},
                "site": direct | {"type": "Site", "batch": None, "site": site | {"canonical": "Ignore"}},
                "copy": direct | {"type": "Site", "batch": None, "site": site},
                "robots": assignment(operator, "http://robots.example/page"),
                "rebinding": assignment(
                    operator, *(f"http://rebinding.example/{n}" for n in range(20)), fetch={"concurrency": 3}
                ),
            }
            came = {name: await crawl(folder, operator, name, job) for name, job in crawls.items()}
        return {
            "open": open_,
            "counted": counted,
            "reached": listeners.reached,
            "served": listeners.served,
            "crawls": came,
            "asked": {name: number + 1 for (name, kind), number in names.asked.items() if kind == 1},
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main())))
