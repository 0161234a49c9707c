"""The guard where connections are made: what was checked is what is connected to."""

import subprocess
import sys
from pathlib import Path

import pytest

PROBE = '''
import asyncio, ipaddress, os, socket, sys
from scrapy.utils.reactor import install_reactor
from crawl_worker.fetch.engine import REACTOR, Engine, PageClock, scrapy_settings
install_reactor(REACTOR)
from twisted.internet import reactor
from twisted.internet._resolver import GAIResolver
from crawl_api.options import FetchOptions
from crawl_worker.errors import PageError
from crawl_worker.fetch.resolver import GuardedResolver

port = int(sys.argv[1])
answers = [answer.split(",") for answer in sys.argv[2:]]
asked = []

def getaddrinfo(host, _port, *_rest):
    """A name server that changes its mind."""
    addresses = answers[min(len(asked), len(answers) - 1)]
    asked.append(host)
    return [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (a, _port, 0, 0)) if ":" in a
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, _port))
        for a in addresses
    ]

async def main():
    reactor.installNameResolver(GAIResolver(reactor, getaddrinfo=getaddrinfo))
    resolver = GuardedResolver(reactor, [ipaddress.ip_network("127.0.0.1/32")])
    reactor.installNameResolver(resolver)
    async with Engine(scrapy_settings(FetchOptions(), 2, "probe"), resolver) as engine:
        for _ in range(2):
            try:
                response = await engine.get(f"http://rebinding.example:{port}/page/1", PageClock(5))
                print(response.status, response.ip_address)
            except PageError as error:
                print(error.code, error.details.get("address"))
    print("asked", len(asked))

reactor.startRunning(installSignalHandlers=False)
reactor._asyncioEventloop.run_until_complete(main())
sys.stdout.flush()
os._exit(0)  # as the worker does: the reactor's look-up threads do not end by themselves
'''

SITE = """
import http.server
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture
def port() -> object:
    """A server on 127.0.0.1, which is allowed here; everything else on loopback is not."""
    with subprocess.Popen(
        [sys.executable, "-c", SITE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.kill()


def probe(tmp_path: Path, port: int, *answers: str) -> list[str]:
    script = tmp_path / "probe.py"
    script.write_text(PROBE)
    command = [sys.executable, str(script), str(port), *answers]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_a_name_that_is_bound_anew_leads_nowhere_else(tmp_path: Path, port: int) -> None:
    """One look-up per name: a second answer, with an internal address, is never asked for."""
    assert probe(tmp_path, port, "127.0.0.1", "127.0.0.2") == ["404 127.0.0.1", "404 127.0.0.1", "asked 1"]


def test_a_name_with_one_internal_address_is_refused_as_a_whole(tmp_path: Path, port: int) -> None:
    """The good address is not used either, in whatever order they come."""
    for answer in ("127.0.0.1,127.0.0.2", "127.0.0.2,127.0.0.1", "127.0.0.1,::ffff:127.0.0.2"):
        refused = answer.replace("127.0.0.1", "").strip(",")
        assert probe(tmp_path, port, answer)[:2] == [f"AddressRefused {refused}"] * 2


def test_a_name_without_addresses_is_a_dns_failure(tmp_path: Path, port: int) -> None:
    """A refusal for one answer is not held against a name that then has none."""
    assert probe(tmp_path, port, "127.0.0.2", "not-an-address")[0] == "AddressRefused 127.0.0.2"
