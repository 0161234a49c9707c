"""The work queue, in a time of its own: hours of pauses pass in milliseconds, and to the second."""

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable

import pytest

from crawl_operator.queue import WorkQueue


class _Clock(selectors.DefaultSelector):
    """Moves its time on instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if ready := super().select(0):
            return ready
        if timeout is None:
            raise AssertionError("everything waits, and nothing will come")
        self.now += timeout
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = _Clock()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


Test = Callable[[WorkQueue[str]], Awaitable[None]]


def timeless(test: Test) -> Callable[[], None]:
    """Run a test with a queue on a loop whose time passes at once."""

    @functools.wraps(test)
    def run() -> None:
        async def main() -> None:
            await asyncio.wait_for(test(WorkQueue()), 100_000)

        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(main())

    del run.__wrapped__  # pytest would take the queue for a fixture
    return run


def now() -> float:
    return asyncio.get_running_loop().time()


async def nothing_comes(queue: WorkQueue[str], seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), seconds)


@timeless
async def test_keys_come_in_the_order_they_were_added(queue: WorkQueue[str]) -> None:
    for key in ("b", "a", "c", "a"):
        queue.add(key)
    assert len(queue) == 3
    assert [await queue.get() for _ in range(3)] == ["b", "a", "c"]


@timeless
async def test_a_key_is_in_one_hand_at_a_time(queue: WorkQueue[str]) -> None:
    """Added while it is in hand, it comes again, once, when it has been given back."""
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("a")
    await nothing_comes(queue, 10)
    queue.done(key)
    assert await queue.get() == "a"
    queue.done("a")
    await nothing_comes(queue, 10)


@timeless
async def test_many_workers_never_share_a_key(queue: WorkQueue[str]) -> None:
    held: set[str] = set()
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        while True:
            key = await queue.get()
            assert key not in held
            held.add(key)
            await asyncio.sleep(1)
            held.discard(key)
            rounds += 1
            queue.done(key)

    async with asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(work()) for _ in range(4)]
        for _ in range(10):
            for key in ("a", "b"):
                queue.add(key)
            await asyncio.sleep(0.3)
        await asyncio.sleep(5)
        for worker in workers:
            worker.cancel()
    assert not held
    assert 6 <= rounds <= 10, "every change is looked at after it happened, and changes meanwhile are one"


@timeless
async def test_a_delayed_key_comes_when_it_is_due(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 30)
    assert await queue.get() == "a"
    assert now() == pytest.approx(30)


@timeless
async def test_the_earliest_timer_wins(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 30)
    queue.add_after("a", 10)
    queue.add_after("a", 20)
    assert await queue.get() == "a"
    assert now() == pytest.approx(10)
    queue.done("a")
    await nothing_comes(queue, 100)


@timeless
async def test_a_change_comes_before_the_timer_and_replaces_it(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 30)
    queue.add("a")
    assert await queue.get() == "a"
    assert now() == 0
    queue.done("a")
    await nothing_comes(queue, 100)


@timeless
async def test_a_timer_that_is_due_while_the_key_is_in_hand_is_not_lost(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add_after("a", 5)
    await asyncio.sleep(6)
    queue.done("a")
    assert await queue.get() == "a"
    assert now() == pytest.approx(6)


@timeless
async def test_success_ends_the_growth_of_the_pause(queue: WorkQueue[str]) -> None:
    queue.add("a")
    for _ in range(5):
        queue.failed(await queue.get())
    queue.done(await queue.get())
    queue.add("a")
    assert 0.05 <= queue.failed(await queue.get()) <= 0.06


@timeless
async def test_a_failed_key_comes_again_after_exactly_its_pause(queue: WorkQueue[str]) -> None:
    queue.add("a")
    for _ in range(5):
        key, before = await queue.get(), now()
        pause = queue.failed(key)
        await nothing_comes(queue, pause - 0.001)
        await asyncio.sleep(0.002)
        assert len(queue) == 1
        assert now() - before == pytest.approx(pause, abs=0.002)


@timeless
async def test_failing_without_end_settles_at_a_minute(queue: WorkQueue[str]) -> None:
    queue.add("a")
    for count in range(40):
        key = await queue.get()
        pause = queue.failed(key)
        least = min(0.05 * 2**count, 60)
        assert least <= pause <= 1.2 * least, f"failure {count + 1}"


@timeless
async def test_the_api_server_may_ask_for_a_longer_pause(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.failed(await queue.get(), at_least=17) == 17
    assert await queue.get() == "a"
    assert now() == pytest.approx(17)


@timeless
async def test_a_change_during_a_failing_round_is_looked_at_at_once(queue: WorkQueue[str]) -> None:
    """What changed may be what made it fail: the pause is for those who would find the same again."""
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.failed(key)
    assert await queue.get() == "a"
    assert now() == 0


@timeless
async def test_a_worker_that_is_cancelled_while_it_waits_loses_no_key(queue: WorkQueue[str]) -> None:
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(1)
    queue.add("a")
    waiting[0].cancel()
    assert await waiting[1] == "a"
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]


@timeless
async def test_the_oldest_age_is_that_of_whom_nobody_serves(queue: WorkQueue[str]) -> None:
    """Waiting for a hand, or held by one; a key whose time has not come does not wait."""
    queue.add_after("later", 1000)
    await asyncio.sleep(100)
    assert queue.oldest_age() == 0
    queue.add("a")
    await asyncio.sleep(5)
    queue.add("b")
    await asyncio.sleep(2)
    assert queue.oldest_age() == pytest.approx(7)
    assert await queue.get() == "a"
    await asyncio.sleep(3)
    assert queue.oldest_age() == pytest.approx(5), "b waits for longer than a is held"
    assert await queue.get() == "b"
    queue.done("b")
    assert queue.oldest_age() == pytest.approx(3), "a is still held"
    queue.done("a")
    assert queue.oldest_age() == 0


def test_urgent_keys_come_first_and_in_their_own_order() -> None:
    """Thousands of others need not have been looked at before."""

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue(lambda key: key.startswith("urgent"))
        for key in ("a", "b", "urgent-1", "c", "urgent-2", "urgent-1"):
            queue.add(key)
        assert len(queue) == 5
        assert [await queue.get() for _ in range(5)] == ["urgent-1", "urgent-2", "a", "b", "c"]

    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(main())
