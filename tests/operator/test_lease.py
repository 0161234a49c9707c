"""Leadership: who may take a lease and when, by nobody's clock but one's own, and never two who act."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl_operator.kube import CRAWLJOBS, LEASES, Connection, Kube, Object, Resource
from crawl_operator.kube_errors import (
    AlreadyExistsError,
    ConflictError,
    NotFoundError,
    NotLeadingError,
    UnavailableError,
)
from crawl_operator.lease import Alone, Lease, boot_clock
from crawl_operator.setting_groups import Leadership

SETTINGS = Leadership(enabled=True, lease_seconds=15, renew_seconds=5)
LONG_AGO, FAR_AHEAD = "1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"


class Api:
    """One lease, as the API server keeps it; `on_call` may break, delay or interrupt a call."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.version = 100
        self.on_call: Callable[[str], Awaitable[None]] | None = None

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        spec: dict[str, Any] = self.lease["spec"]
        return spec

    def put(self, **spec: Any) -> None:
        """Write the lease as somebody else."""
        self.version += 1
        metadata = {"name": "crawl-operator", "namespace": "crawl-operator", "resourceVersion": str(self.version)}
        self.lease = {"metadata": metadata, "spec": spec}

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        await self._call("get")
        assert (resource, namespace, name) == (LEASES, "crawl-operator", "crawl-operator")
        if self.lease is None:
            raise NotFoundError("there is none")
        return {**self.lease, "metadata": dict(self.lease["metadata"])}

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        await self._call("before")
        if self.lease is not None:
            raise AlreadyExistsError("somebody was faster")
        return await self._written(body)

    async def update(self, resource: Resource, namespace: str, body: Object) -> Object:
        await self._call("before")
        if self.lease is None or self.lease["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ConflictError("somebody was faster")
        return await self._written(body)

    async def _written(self, body: Object) -> Object:
        self.put(**body["spec"])
        assert self.lease is not None
        self.lease["metadata"]["annotations"] = body["metadata"]["annotations"]
        await self._call("after")
        return self.lease

    async def _call(self, when: str) -> None:
        if self.on_call is not None:
            await self.on_call(when)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Candidate(Lease):
    """A lease in steps: `stand` takes one, without waiting."""

    def __init__(self, api: Any, clock: Clock, own_url: str = "") -> None:
        super().__init__(api, SETTINGS, clock, own_url=own_url)
        self.prepared = True

    async def stand(self) -> float:
        pause = await self._try()
        if self._held.is_set() and self.prepared:
            self._leading = True
        return pause


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def mine(api: Api, clock: Clock) -> Candidate:
    return Candidate(api, clock)


async def test_a_lease_that_is_not_there_is_made(api: Api, mine: Candidate) -> None:
    assert "not been read" in mine.standby
    assert await mine.stand() == 5
    assert api.spec["holderIdentity"] == mine.identity
    assert (api.spec["leaseDurationSeconds"], api.spec["leaseTransitions"]) == (15, 0)
    assert mine.standby == ""
    assert 0 < mine.remaining() <= 12


async def test_a_lease_without_a_holder_is_taken_at_once(api: Api, mine: Candidate) -> None:
    """As a leader leaves it that ended in order."""
    api.put(holderIdentity="", leaseDurationSeconds=1, renewTime=FAR_AHEAD, leaseTransitions=7, strategy="kept")
    await mine.stand()
    assert (api.spec["holderIdentity"], api.spec["leaseTransitions"]) == (mine.identity, 8)
    assert api.spec["strategy"] == "kept", "what is not ours stays"


@pytest.mark.parametrize("stamp", [LONG_AGO, FAR_AHEAD])
async def test_only_ones_own_clock_tells_when_a_lease_is_over(
    api: Api, mine: Candidate, clock: Clock, stamp: str
) -> None:
    """The holder's clock may be years off: what counts is how long nothing has changed here."""
    api.put(holderIdentity="another", leaseDurationSeconds=15, renewTime=stamp)
    assert await mine.stand() == 1
    assert mine.standby == "another leads"
    clock.now += 14.5
    assert await mine.stand() == pytest.approx(0.5), "and it comes again when the time is over"
    assert api.spec["holderIdentity"] == "another"
    clock.now += 0.5
    await mine.stand()
    assert api.spec["holderIdentity"] == mine.identity


async def test_every_sign_of_life_counts_from_anew(api: Api, mine: Candidate, clock: Clock) -> None:
    for renewal in range(10):
        api.put(holderIdentity="another", leaseDurationSeconds=15, renewTime=f"2026-01-01T00:00:0{renewal}Z")
        await mine.stand()
        clock.now += 14
    assert api.spec["holderIdentity"] == "another"


async def test_the_holder_says_how_long_its_lease_lasts(api: Api, mine: Candidate, clock: Clock) -> None:
    api.put(holderIdentity="another", leaseDurationSeconds=60)
    await mine.stand()
    clock.now += 59
    await mine.stand()
    assert api.spec["holderIdentity"] == "another"
    clock.now += 1
    await mine.stand()
    assert api.spec["holderIdentity"] == mine.identity


async def test_a_renewal_keeps_since_when_it_leads(api: Api, mine: Candidate, clock: Clock) -> None:
    await mine.stand()
    first = dict(api.spec)
    for _ in range(20):
        clock.now += 5
        await mine.stand()
        assert mine.remaining() == 12
    assert api.spec["acquireTime"] == first["acquireTime"]
    assert api.spec["renewTime"] > first["renewTime"]
    assert api.spec["leaseTransitions"] == 0


async def test_it_acts_for_four_fifths_of_the_time_from_before_it_asked(
    api: Api, mine: Candidate, clock: Clock
) -> None:
    """The others count from when they see the renewal, which is later: a slow answer shortens the time to act."""

    async def slowly(when: str) -> None:
        clock.now += 2 if when == "after" else 1

    api.on_call = slowly
    await mine.stand()
    assert mine.remaining() == 12 - 1 - 2
    clock.now += 8.9
    assert mine.remaining() == pytest.approx(0.1)
    clock.now += 0.1
    assert mine.remaining() == 0
    assert "could not be renewed" in mine.standby


async def test_who_has_once_lost_it_must_win_and_prepare_anew(api: Api, mine: Candidate, clock: Clock) -> None:
    """A gap in which nobody else led is a gap all the same: what was dropped meanwhile must be looked at again."""
    await mine.stand()
    clock.now += 13
    mine.prepared = False
    await mine.stand()
    assert api.spec["holderIdentity"] == mine.identity
    assert mine.remaining() == 0
    assert "everything is listed anew" in mine.standby


async def test_a_holder_that_finds_another_in_its_place_stops_at_once(api: Api, mine: Candidate, clock: Clock) -> None:
    await mine.stand()
    api.put(holderIdentity="another", leaseDurationSeconds=15)
    clock.now += 1
    await mine.stand()
    assert mine.remaining() == 0
    assert mine.standby == "another leads"


async def test_a_renewal_whose_answer_is_lost_is_a_renewal(api: Api, mine: Candidate, clock: Clock) -> None:
    """It does not count as one, for nobody knows; but the next one finds the lease its own."""
    await mine.stand()
    clock.now += 5

    async def lost(when: str) -> None:
        if when == "after":
            raise UnavailableError("no answer")

    api.on_call = lost
    with pytest.raises(UnavailableError):
        await mine.stand()
    assert mine.remaining() == 7
    api.on_call = None
    await mine.stand()
    assert mine.remaining() == 12


async def test_a_lease_is_released_by_its_holder_only(api: Api, mine: Candidate, clock: Clock) -> None:
    other = Candidate(api, clock)
    await mine.stand()
    await other.stand()
    await other.release()
    assert api.spec["holderIdentity"] == mine.identity
    await mine.release()
    assert mine.remaining() == 0
    assert (api.spec["holderIdentity"], api.spec["leaseDurationSeconds"]) == ("", 1)
    await other.stand()
    assert other.remaining() > 0


async def test_a_release_that_fails_is_no_failure(api: Api, mine: Candidate) -> None:
    await mine.stand()

    async def broken(when: str) -> None:
        raise UnavailableError("no answer")

    api.on_call = broken
    await mine.release()
    assert mine.remaining() == 0


MOVES = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.floats(0, 20, allow_nan=False),
        st.sampled_from(["well", "lost before", "lost after", "slow before", "slow after", "overtaken", "ends"]),
        st.floats(0, 20, allow_nan=False),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(moves=MOVES)
def test_never_do_two_act(moves: list[tuple[int, float, str, float]]) -> None:
    """Three candidates, requests that are lost, late or overtaken, sleeps of any length; clocks run alike."""
    asyncio.run(_play(moves))


async def _play(moves: list[tuple[int, float, str, float]]) -> None:
    api, clock = Api(), Clock()
    candidates = [Candidate(api, clock) for _ in range(3)]

    def check() -> None:
        acting = [each for each in candidates if each.remaining() > 0]
        assert len(acting) <= 1
        assert all(api.spec["holderIdentity"] == each.identity for each in acting)

    async def sleep(seconds: float) -> None:
        for _ in range(10):
            clock.now += seconds / 10
            check()

    for who, pause, what, delay in moves:
        await sleep(pause)
        mine, next_one = candidates[who], candidates[(who + 1) % 3]

        async def disturb(when: str, what: str = what, delay: float = delay, other: Candidate = next_one) -> None:
            match what, when:
                case ("lost before", "before") | ("lost after", "after"):
                    raise UnavailableError("no answer")
                case ("slow before", "before") | ("slow after", "after"):
                    await sleep(delay)
                case ("overtaken", "before"):
                    api.on_call = None
                    await sleep(delay)
                    await other.stand()

        api.on_call = disturb
        with contextlib.suppress(UnavailableError, ConflictError, AlreadyExistsError):
            await (mine.release() if what == "ends" else mine.stand())
        api.on_call = None
        check()


async def test_the_lease_says_where_the_leader_takes_reports(api: Api) -> None:
    """Those that stand by know it from there; not who leads, nor anybody while nobody leads."""
    one, two = (Candidate(api, Clock(), f"http://10.0.0.{number}:8082") for number in (1, 2))
    await one.stand()
    await two.stand()
    assert (one.leader_url, two.leader_url) == ("", "http://10.0.0.1:8082")
    await one.release()
    await two.stand()
    assert (two.standby, two.leader_url) == ("", "")
    await one.stand()
    assert one.leader_url == "http://10.0.0.2:8082"
    nameless = Candidate(api, Clock())
    await two.release()
    await nameless.stand()
    await one.stand()
    assert one.leader_url == "", "a leader that is not reachable is not taken for the one before"


class Terms:
    """Runs a lease, and notes when it is prepared and when it leads."""

    def __init__(self, api: Any, clock: Callable[[], float] = boot_clock) -> None:
        self.lease = Lease(api, Leadership(enabled=True, lease_seconds=3, renew_seconds=0.1), clock)
        self.notes: list[str] = []
        self.takes = 0.0

    def start(self) -> None:
        self.running = asyncio.create_task(self.lease.run(self.prepare, self.lead))

    async def prepare(self) -> None:
        assert self.lease.remaining() == 0
        await asyncio.sleep(self.takes)
        self.notes.append("prepared")

    def lead(self) -> None:
        assert self.lease.remaining() > 0
        self.notes.append("leads")

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():  # noqa: ASYNC110 - of things that tell nobody
                await asyncio.sleep(0.01)


@pytest.fixture
async def terms(api: Api) -> AsyncIterator[Terms]:
    made = Terms(api)
    yield made
    made.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await made.running


async def test_it_prepares_before_it_leads_and_leads_for_as_long_as_it_renews(api: Api, terms: Terms) -> None:
    terms.start()
    await terms.until(lambda: terms.lease.standby == "")
    await asyncio.sleep(4)
    assert terms.notes == ["prepared", "leads"]
    assert terms.lease.remaining() > 0


async def test_after_each_gap_it_prepares_anew(api: Api, terms: Terms) -> None:
    terms.start()
    await terms.until(lambda: terms.lease.standby == "")

    async def cut_off(when: str) -> None:
        raise UnavailableError("no answer")

    api.on_call = cut_off
    await terms.until(lambda: terms.lease.standby != "")
    await asyncio.sleep(0.1)
    assert "cannot be had: no answer" in terms.lease.standby
    api.on_call = None
    await terms.until(lambda: terms.lease.standby == "")
    assert terms.notes == ["prepared", "leads"] * 2


async def test_who_stands_by_from_the_start_prepares_then_and_again_when_it_leads(api: Api, terms: Terms) -> None:
    """What it stands by with would be too old to count from."""
    api.put(holderIdentity="another", leaseDurationSeconds=3)
    terms.start()
    await terms.until(lambda: terms.notes == ["prepared"])
    assert terms.lease.standby == "another leads"
    await terms.until(lambda: terms.lease.standby == "")
    assert terms.notes == ["prepared", "prepared", "leads"]


async def test_who_cannot_ask_for_the_lease_prepares_all_the_same(api: Api, terms: Terms) -> None:
    async def cut_off(when: str) -> None:
        raise UnavailableError("no answer")

    api.on_call = cut_off
    terms.start()
    await terms.until(lambda: terms.notes == ["prepared"])
    assert "cannot be had: no answer" in terms.lease.standby
    api.on_call = None
    await terms.until(lambda: terms.lease.standby == "")
    assert terms.notes == ["prepared", "prepared", "leads"]


async def test_a_lease_that_is_lost_while_it_prepares_is_not_led_on(api: Api, terms: Terms) -> None:
    terms.takes = 0.3
    terms.start()
    await terms.until(lambda: "listed anew" in terms.lease.standby)
    api.put(holderIdentity="another", leaseDurationSeconds=3)
    await terms.until(lambda: terms.notes == ["prepared"])
    assert terms.lease.standby == "another leads"
    await terms.until(lambda: terms.lease.standby == "")
    assert terms.notes == ["prepared", "prepared", "leads"]


async def test_one_operator_alone_needs_no_lease_and_prepares_all_the_same() -> None:
    alone = Alone()
    notes: list[str] = []

    async def prepare() -> None:
        await asyncio.sleep(0)
        assert alone.standby, "workers are not answered from half a list"
        assert alone.remaining() == 0
        notes.append("prepared")

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await alone.run(prepare, lambda: notes.append("leads"))
    assert notes == ["prepared", "leads"]
    assert alone.standby == ""
    assert alone.remaining() > 10**9
    await alone.release()


class Server:
    """Counts what arrives, and answers nothing for as long as it is told to wait."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.wait = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        self.calls.append(request.method)
        await asyncio.sleep(self.wait)
        return web.json_response({"metadata": {}, "items": []})


@pytest.mark.parametrize("left", [0.0, -1.0, 1.0])
async def test_a_client_writes_only_while_it_may_and_no_write_outlasts_that(left: float) -> None:
    server = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(application) as running:

        async def connect() -> Connection:
            return Connection(str(running.make_url("/")).rstrip("/"), None, {})

        async with Kube(connect, timeout=30, write_seconds=lambda: left) as kube:
            body = {"metadata": {"name": "news"}}
            writes: list[Callable[[], Awaitable[Object]]] = [
                lambda: kube.create(CRAWLJOBS, "team", body),
                lambda: kube.update(CRAWLJOBS, "team", body),
                lambda: kube.patch_status(CRAWLJOBS, "team", "news", 1, {}),
            ]
            assert kube.may_write is (left > 0)
            server.wait = 5
            for write in writes:
                with pytest.raises(UnavailableError if left > 0 else NotLeadingError):
                    await asyncio.wait_for(write(), 4)
            server.wait = 0
            await kube.get(CRAWLJOBS, "team", "news")
    assert server.calls == (["POST", "PUT", "PATCH"] if left > 0 else []) + ["GET"]
