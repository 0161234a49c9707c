"""The order of URLs: level by level, hosts in turn, each once."""

import math

from crawl_worker.findings import Visit
from crawl_worker.frontier import Frontier
from crawl_worker.site_rules import EveryUrl


def url(host: str, n: int) -> str:
    return f"http://{host}/{n}"


def drained(frontier: Frontier) -> list[str]:
    order = []
    while isinstance(visit := frontier.take(), Visit):
        order.append(visit.url)
        frontier.end(visit)
    return order


def test_hosts_take_turns() -> None:
    frontier = Frontier(lambda _: 0.0, EveryUrl())
    for visit in [Visit(url("a", n)) for n in range(3)] + [Visit(url("b", n)) for n in range(2)]:
        frontier.add(visit)
    assert drained(frontier) == [url("a", 0), url("b", 0), url("a", 1), url("b", 1), url("a", 2)]
    assert frontier.empty


def test_a_level_ends_before_the_next_begins() -> None:
    frontier = Frontier(lambda _: 0.0, EveryUrl())
    first, second = Visit(url("a", 1), 1), Visit(url("a", 2), 2)
    frontier.add(second)
    frontier.add(first)
    assert frontier.take() == first
    assert frontier.take() == math.inf
    frontier.end(first)
    assert frontier.take() == second


def test_a_host_that_must_wait_holds_up_nobody_else() -> None:
    waits = {"a": 3.0, "b": 5.0, "c": 0.0}
    frontier = Frontier(waits.__getitem__, EveryUrl())
    for host in waits:
        frontier.add(Visit(url(host, 1)))
    assert frontier.take() == Visit(url("c", 1))
    assert frontier.take() == 3.0
    waits["b"] = 0.0
    assert frontier.take() == Visit(url("b", 1))


def test_what_is_known_is_not_new() -> None:
    frontier = Frontier(lambda _: 0.0, EveryUrl())
    frontier.add(Visit(url("a", 1)), done=True)
    new = frontier.new([Visit(url("a", 1)), Visit(url("a", 2)), Visit(url("a", 2), 5)])
    assert new == [Visit(url("a", 2))]
    assert frontier.linked([url("a", 1), url("a", 3)], 2) == [Visit(url("a", 3), 2)]
    assert frontier.empty


def test_a_visit_to_be_made_again_goes_to_the_end() -> None:
    frontier = Frontier(lambda _: 0.0, EveryUrl())
    for n in range(2):
        frontier.add(Visit(url("a", n)))
    visit = frontier.take()
    assert isinstance(visit, Visit)
    frontier.end(visit, again=True)
    assert drained(frontier) == [url("a", 1), url("a", 0)]
