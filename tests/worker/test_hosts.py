"""Manners: slots, distances and pauses of each host, by the clock."""

import asyncio
import time

import pytest

from crawl_worker.errors import PageError
from crawl_worker.fetch.hosts import MAX_CRAWL_DELAY, MAX_PAUSE, Hosts


class Visits:
    """Takes turns and notes when they began, and how many ran at once."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self.began: list[float] = []
        self.running = 0
        self.most = 0

    async def visit(self, host: str, seconds: float = 0.0) -> None:
        async with self._hosts.turn(host):
            self.began.append(time.monotonic())
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(seconds)
            self.running -= 1


async def test_no_more_than_the_limit_at_once_and_hosts_do_not_wait_for_each_other() -> None:
    hosts = Hosts(3, 0)
    one, other = Visits(hosts), Visits(hosts)
    await asyncio.gather(*(one.visit("a", 0.02) for _ in range(20)), *(other.visit("b", 0.02) for _ in range(20)))
    assert (one.most, other.most) == (3, 3)


async def test_the_distance_is_kept_whoever_asks() -> None:
    visits = Visits(Hosts(5, 0.1))
    begun = time.monotonic()
    await asyncio.gather(*(visits.visit("a") for _ in range(5)))
    assert len(visits.began) == 5
    assert all(at - begun >= 0.1 * number for number, at in enumerate(visits.began))


async def test_a_pause_holds_back_even_those_that_wait_already() -> None:
    hosts = Hosts(5, 0.1)
    visits = Visits(hosts)
    begun = time.monotonic()
    tasks = [asyncio.create_task(visits.visit("a")) for _ in range(2)]
    await asyncio.sleep(0.02)
    hosts.pause("a", 0.5)
    assert 0.4 < hosts.wait("a") <= 0.5
    await asyncio.gather(*tasks)
    assert visits.began[1] - begun >= 0.5
    assert hosts.wait("b") == 0


async def test_a_pause_beyond_what_pages_wait_for_is_told_at_once_even_to_those_that_wait_already() -> None:
    hosts = Hosts(5, 0.1)
    visits = Visits(hosts)
    await visits.visit("a")
    waiting = asyncio.create_task(visits.visit("a"))
    await asyncio.sleep(0.02)
    hosts.pause("a", MAX_PAUSE + 60)
    hosts.pause("a", 1)
    assert hosts.wait("a") == 0, "nobody is to wait for it"
    for visit in (waiting, visits.visit("a")):
        with pytest.raises(PageError) as told:
            await asyncio.wait_for(visit, 5)
        assert (told.value.code, told.value.retryable) == ("HostPaused", True)
        assert MAX_PAUSE + 50 < int(told.value.details["retryAfter"]) <= MAX_PAUSE + 60
    assert len(visits.began) == 1


async def test_a_host_whose_slots_are_taken_is_not_to_be_waited_for() -> None:
    hosts = Hosts(1, 0)
    async with hosts.turn("a"):
        assert hosts.wait("a") == float("inf")
    assert hosts.wait("a") == 0


async def test_a_crawl_delay_lengthens_the_distance_up_to_a_limit() -> None:
    hosts = Hosts(5, 0.5)
    hosts.crawl_delay("a", 0.1)
    assert 0.4 < hosts.wait("a") <= 0.5
    hosts.crawl_delay("b", 1e9)
    assert hosts.wait("b") <= MAX_CRAWL_DELAY


async def test_throttling_follows_the_hosts_pace_and_errors_do_not_hurry_it() -> None:
    hosts = Hosts(5, 0, throttle=True)

    async def distance() -> float:
        async with hosts.turn("a"):
            pass
        return hosts.wait("a")

    hosts.answered("a", 0.2, good=True)
    assert 0.15 < await distance() <= 0.2
    hosts.answered("a", 0.1, good=True)
    assert 0.1 < await distance() <= 0.15
    hosts.answered("a", 0.001, good=False)
    assert 0.1 < await distance() <= 0.15
    steady = Hosts(5, 0)
    steady.answered("a", 5, good=True)
    assert steady.wait("a") == 0
