"""What the worker's tests share: a site, a stand-in of the operator, and the worker as a real process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from made_sites import MadeSites
from operator_stand_in import StandIn, serving, stand_in
from worker_process import Worker
from worker_site import Site, make_site

from local_cluster.programs import free_port


@pytest.fixture
async def operator() -> AsyncIterator[StandIn]:
    async with stand_in(StandIn()) as started:
        yield started


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    started = Site()
    async with serving(make_site(started)) as port:
        started.url = f"http://127.0.0.1:{port}"
        yield started


@pytest.fixture
async def serve() -> AsyncIterator[MadeSites]:
    async with AsyncExitStack() as open_:
        yield MadeSites(open_)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


@pytest.fixture
def port() -> int:
    """A port that nobody listens on and nobody is given, but whoever asks for it by its number."""
    return free_port()


@pytest.fixture
def unreachable(port: int) -> StandIn:
    """An operator that nobody answers for (yet)."""
    return StandIn(url=f"http://127.0.0.1:{port}")
